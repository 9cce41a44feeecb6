"""What is answered to events of buckets."""

from __future__ import annotations

from typing import Self
from uuid import UUID

from production_server.sources.notifications import Taken
from production_server.web.api.schemas import FaultBody, Schema


class EventsBody(Schema):
    """What became of events: items that were made, those there were before, events that no rule is about.

    `refused` events cannot be read, or their objects may not be; `faults` says why, of the first 20. Those beside them
    were taken.
    """

    accepted: int
    known: int
    ignored: int
    refused: int
    faults: list[FaultBody]
    jobs: list[UUID]

    @classmethod
    def of(cls, taken: Taken) -> Self:
        """The API's view of what was taken."""
        jobs = [job.id for job in taken.jobs]
        return cls(
            accepted=taken.accepted,
            known=taken.known,
            ignored=taken.ignored,
            refused=taken.refused,
            faults=[
                FaultBody(field=each.field, expected=each.expected, got=each.got) for each in taken.faults
            ],
            jobs=jobs,
        )
