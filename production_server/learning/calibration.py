"""Inputs by which a version in whole numbers is made: a sample, or what is stored of jobs, as the graph takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from production_server.errors import InvalidInput
from production_server.learning.measuring import check_truths
from production_server.models.importing.parity import inputs_for
from production_server.models.importing.sample import HeldOut, Images, Rows, Sample, read_sample
from production_server.models.store import ModelVersion
from production_server.models.tensors import Tensors, count_items

FEWEST_ITEMS = 32
"""Of fewer, the next input has numbers outside of all ranges that were seen."""
MOST_ITEMS = 1_000
"""More change nothing any more; of a sample that has more, as many are used."""


@dataclass(frozen=True)
class Calibration:
    """Items of one shape in each group, and what they are, for people."""

    groups: Sequence[Tensors]
    origin: str
    sample: Path | None = None
    """What the gate holds the version against the one that serves on, where it says what is true."""
    target: str | None = None

    @property
    def items(self) -> int:
        """How many there are."""
        return sum(map(count_items, self.groups))

    def check(self) -> None:
        """See that there are enough.

        Raises:
            InvalidInput: there are not (field `calibration`).
        """
        if self.items < FEWEST_ITEMS:
            raise InvalidInput.at(
                "calibration",
                f"at least {FEWEST_ITEMS} inputs, such as will come: of fewer nobody can tell the ranges",
                self.origin,
            )


def of_sample(version: ModelVersion, path: Path, target: str | None) -> Calibration:
    """The inputs of a sample: rows in a CSV, or a folder of images.

    Raises:
        InvalidInput: it cannot be read, or is of another model.
    """
    sample, target = _read(version, path, target)
    _check_kind(version, sample)
    check_truths(version, sample)
    found = inputs_for(version.manifest, sample)
    tensors = {
        spec.name: found.tensors[spec.name][:MOST_ITEMS].astype(spec.dtype)
        for spec in version.manifest.inputs
    }
    noun = "images" if isinstance(sample, Images) else "rows"
    origin = f"{count_items(tensors):,} {noun} of the sample"
    return Calibration([tensors], origin, sample=path, target=target)


def of_stored(version: ModelVersion, payloads: Sequence[bytes], *, max_pixels: int) -> Calibration:
    """Inputs as jobs have stored them; those that cannot be decoded any more are left out."""
    decoded = version.task.inputs.decode(payloads, max_pixels=max_pixels)
    groups = [group.tensors for group in decoded.groups if len(group.places)]
    count = sum(map(count_items, groups))
    return Calibration(groups, f"the last {count:,} items of jobs that version {version.key[1]} has answered")


def _read(version: ModelVersion, path: Path, target: str | None) -> tuple[Sample, str | None]:
    """The sample, and its column of what is true: the one that is said, else the model's, if it has that."""
    features = [each.name for each in version.manifest.features]
    if target is None and path.is_file():
        try:
            return read_sample(
                path, target=version.manifest.target, features=features
            ), version.manifest.target
        except InvalidInput as exc:
            if [each.field for each in exc.faults] != ["target"]:
                raise
    return read_sample(path, target=target, features=features), target


def _check_kind(version: ModelVersion, sample: Sample) -> None:
    """Whether it is of what the model takes.

    Raises:
        InvalidInput: it is not (field `sample`).
    """
    manifest = version.manifest
    if len(manifest.inputs) != 1 or isinstance(sample, HeldOut) or manifest.task == "tensors":
        raise InvalidInput.at("sample", "stored items (--stored N): this model takes tensors", "a sample")
    if isinstance(sample, Images) and manifest.image is None:
        raise InvalidInput.at("sample", "rows in a CSV: this model takes no images", "a folder of images")
    if isinstance(sample, Rows):
        _check_rows(version, sample)


def _check_rows(version: ModelVersion, sample: Rows) -> None:
    manifest = version.manifest
    if manifest.image is not None:
        raise InvalidInput.at(
            "sample", "a folder with a folder of images for each label: this model takes images", "a table"
        )
    names = tuple(each.name for each in manifest.features)
    if sample.names != names:
        raise InvalidInput.at(
            "sample",
            f"columns {', '.join(names)}",
            ", ".join(sample.names) if len(sample.names) < 20 else "others",
        )
