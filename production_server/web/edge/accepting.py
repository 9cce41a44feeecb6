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

    What is not stored is not counted, nor what was stored before under the same idempotency key.

    Raises:
        TooManyRequests: the client has no room for items. Conflict, Unavailable: as `Intake.accept`.
    """
    allowance = asking_allowance()
    taken, is_new = allowance.take_items(len(items)), False
    try:
        accepted, is_new = current_parts().intake.accept(version, items, asked)
    finally:
        if not is_new:
            allowance.give_items_back(len(items), taken)
    return accepted
