"""Accepting work: first it is durable, then it is on its way. Every door goes through here, whatever it speaks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from production_server.broker.publisher import Publisher
from production_server.errors import InvalidInput
from production_server.intake.handover import Handover
from production_server.jobs.again import add_again
from production_server.jobs.arrivals import Taken, take_messages
from production_server.jobs.database import Database
from production_server.jobs.publication import chunks_of
from production_server.jobs.records import Chunk, Job, NewItem, NewJob, NewObjects, NewScan, Priority, Scan
from production_server.jobs.scans import Listed, ScanClaim, note_page
from production_server.jobs.submit import start_scan, submit, submit_objects
from production_server.models.store import ModelVersion
from production_server.settings import Settings
from production_server.storage.locations import Location
from production_server.storage.storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a door knows of a request beside its inputs: its own name, who asked, and how."""

    source: str
    client: str
    priority: Priority = "normal"
    version: str | None = None
    """As it was asked for; None: whichever was stable."""
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """Stores what was checked, and hands it over. Safe to share between threads.

    A broker that does not answer does not matter to whoever asks: the reconciler publishes what is stored later.
    """

    settings: Settings
    database: Database
    storage: Storage
    publisher: Publisher
    _handover: Handover = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_handover", Handover(self.publisher, self.database))

    def accept(
        self,
        version: ModelVersion,
        items: Sequence[NewItem],
        asked: Asked,
        *,
        before_storing: Callable[[], None] = lambda: None,
    ) -> tuple[Job, bool]:
        """Store a job of checked inputs, then publish it; returns it, and whether it is new.

        `before_storing` is called unless it is stored already; what it raises keeps it from being stored.

        Raises:
            Conflict: the client used the idempotency key for another request.
            Unavailable: the database does not answer; nothing was accepted.
        """
        new = NewJob(
            model=version.manifest.name,
            version=version.manifest.version,
            items=items,
            source=asked.source,
            client=asked.client,
            priority=asked.priority,
            idempotency_key=asked.idempotency_key,
            request_digest=_digest_of(version, items, asked) if asked.idempotency_key else None,
        )
        accepted, is_new = submit(self.database, new, before_storing=before_storing)
        if is_new:
            self._handover.hand_over(chunks_of(accepted, self.settings.chunk_items))
        return accepted, is_new

    def accept_messages(
        self,
        version: ModelVersion,
        taken: Sequence[Taken],
        asked: Asked,
        *,
        stream: str,
        tells_results: bool,
    ) -> int:
        """Store a job of those messages of a stream that were not taken before, then publish it; how many items it has.

        Raises:
            Unavailable: the database does not answer; nothing was taken.
        """
        new = NewJob(
            model=version.manifest.name,
            version=version.manifest.version,
            items=(),
            source=asked.source,
            client=asked.client,
            priority=asked.priority,
            stream=stream,
            tells_results=tells_results,
        )
        chunk_items = self.settings.chunk_items
        accepted = take_messages(self.database, new, taken, chunk_items=chunk_items)
        if accepted is None:
            return 0
        if all(isinstance(item, NewItem) for item in taken[0].items):
            # Objects wait in the database until workers fetch them.
            self._handover.hand_over(chunks_of(accepted, chunk_items))
        return accepted.total

    def add_again(self, run_id: UUID, job_id: UUID, *, most: int) -> bool:
        """Add the next items that a training run has answered again to its job; False: there are no more.

        Raises:
            Unavailable: the database does not answer; nothing was added.
        """
        chunk = self.settings.chunk_items
        added = add_again(self.database, run_id, job_id, most=most, chunk_items=chunk)
        stop = added.stored.stop
        starts = range(added.stored.start, stop, chunk)
        self._handover.hand_over(
            [Chunk(job_id, start, min(start + chunk, stop), "normal") for start in starts]
        )
        return not added.is_all

    def accept_objects(self, new: NewObjects) -> Job | None:
        """Store a job of those objects that this version has not been given before, for workers to find; None: no such.

        Raises:
            Unavailable: the database does not answer; nothing was accepted.
        """
        return submit_objects(self.database, new, chunk_items=self.settings.chunk_items)

    def accept_scan(self, version: ModelVersion, new: NewScan, *, client: str) -> tuple[Scan, bool]:
        """Store a scan for a version, which some worker's scanner goes on with; returns it, and whether it is new.

        Raises:
            InvalidInput: the model takes no objects.
            Unavailable: the database does not answer; nothing was accepted.
        """
        if not version.task.inputs.takes_files:
            raise InvalidInput.at("model", "a model of images", f"{version.manifest.name}, which takes rows")
        return start_scan(self.database, new, client=client)

    def add_page(self, held: ScanClaim, page: Listed) -> bool:
        """Make items of a scan's page, where workers find them; False if somebody else has the scan by now.

        Raises:
            Unavailable: the database does not answer; nothing of the page was taken.
        """
        added = note_page(
            self.database,
            held,
            page,
            lease_s=self.settings.lease_s,
            chunk_items=self.settings.chunk_items,
        )
        return added is not None

    def location(self, url: str, *, field: str = "url") -> Location:
        """The place in a bucket that a URL names.

        Raises:
            InvalidInput: it is none, or none that this service may read; names `field`.
        """
        location = Location.parse(url, field=field)
        self.storage.check(location, field=field)
        return location

    def waiting_messages(self) -> int:
        """How many chunks wait in the broker, which takes more.

        Raises:
            Unavailable: the broker does not answer, or takes none.
        """
        self.publisher.check()
        return self.publisher.waiting_messages()

    def close(self) -> None:
        """Publish what is in hand and no more: the rest is stored."""
        self._handover.close()


def _digest_of(version: ModelVersion, items: Iterable[NewItem], asked: Asked) -> str:
    """The SHA-256 of a whole request: what makes two requests under one idempotency key the same."""
    digest = hashlib.sha256(repr((version.manifest.name, asked.version, asked.priority)).encode())
    for item in items:
        digest.update(repr((len(item.payload), item.name, item.expected)).encode())
        digest.update(item.payload)
    return digest.hexdigest()
