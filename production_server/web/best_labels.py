"""The best labels of an item by their names, as the API, the downloads and the pages tell them."""

from __future__ import annotations

from dataclasses import dataclass

from production_server.jobs.records import Item
from production_server.models.manifest import Manifest


# No pydantic model: a page of results has thousands of these, which would take longer to make than all else of it.
@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label and its probability."""

    label: str
    score: float


def best_labels(item: Item, manifest: Manifest | None) -> list[LabelScore]:
    """Labels and their probabilities, best first; none without a result, or if the job's version was taken away."""
    if manifest is None:
        return []
    try:
        return [LabelScore(manifest.labels[place], share) for place, share in item.best]
    except IndexError:  # another version has taken its number since
        return []
