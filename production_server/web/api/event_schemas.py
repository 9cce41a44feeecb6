"""What is answered to events of buckets."""

from __future__ import annotations

from typing import Self
from uuid import UUID

from production_server.sources.notifications import Taken
from production_server.web.api.schemas import Schema


class EventsBody(Schema):
    """What became of events: items that were made, those there were before, and events that no rule is about."""

    accepted: int
    known: int
    ignored: int
    jobs: list[UUID]

    @classmethod
    def of(cls, taken: Taken) -> Self:
        """The API's view of what was taken."""
        jobs = [job.id for job in taken.jobs]
        return cls(accepted=taken.accepted, known=taken.known, ignored=taken.ignored, jobs=jobs)
