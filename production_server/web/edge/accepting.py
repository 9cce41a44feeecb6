"""Jobs of the client that asks: their items are counted, then stored."""

from __future__ import annotations

from collections.abc import Sequence

from production_server.intake.intake import Asked
from production_server.jobs.records import Job, NewItem
from production_server.models.store import ModelVersion
from production_server.web.edge.flask_door import asking_allowance
from production_server.web.edge.parts import current_parts


def accept(version: ModelVersion, items: Sequence[NewItem], asked: Asked) -> Job:
    """Count checked inputs as items of the client that asks, and have the intake store them as a job.

    What is stored already, under the same idempotency key, is neither counted nor refused.

    Raises:
        TooManyRequests: the client has no room for items. Conflict, Unavailable: as `Intake.accept`.
    """
    allowance, count = asking_allowance(), len(items)
    taken: list[int] = []
    is_new = False
    try:
        accepted, is_new = current_parts().intake.accept(
            version, items, asked, before_storing=lambda: taken.append(allowance.take_items(count))
        )
    finally:
        if taken and not is_new:
            allowance.give_items_back(count, taken[0])
    return accepted
