"""What a worker does beside its chunks: heartbeats, leases, and the reconciler that publishes what the broker lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from production_server.broker.publisher import Publisher
from production_server.errors import Unavailable
from production_server.jobs.database import Database
from production_server.jobs.leases import Watch
from production_server.jobs.publication import mark_published, mark_unpublished
from production_server.jobs.reconcile import freed_chunks, unpublished_chunks
from production_server.jobs.workers import beat, leave
from production_server.loop import restart_dead
from production_server.settings import Settings
from production_server.worker.chunks import ChunkProcessor
from production_server.worker.fetching import Fetcher
from production_server.worker.importer import Importer

log = logging.getLogger(__name__)

INTERVAL_S = 3.0
GRACE_S = 10.0
"""A job is taken for lost only this long after it was accepted or published: its message may just be on its way."""


@dataclass(slots=True)
class Housekeeping:
    """What is done every few seconds, from `begin` to `end`."""

    name: str
    processor: ChunkProcessor
    fetcher: Fetcher
    importer: Importer
    database: Database
    publisher: Publisher
    settings: Settings
    calls: Mapping[str, Any] | None = None
    """Where this worker takes calls, as heartbeats tell it."""
    _watch: Watch = field(init=False)
    _beating: threading.Lock = field(default_factory=threading.Lock)
    """What is told last is what was so last."""

    def __post_init__(self) -> None:
        self._watch = Watch(self.settings.lease_s)

    @property
    def warm(self) -> list[str]:
        """What this worker has loaded, as model/version."""
        return ["/".join(key) for key in self.processor.engine.loaded]

    @property
    def failing(self) -> dict[str, str]:
        """Why it has not loaded what channels name, by model/version."""
        return self.processor.engine.failing

    @property
    def pause_s(self) -> float:
        """How long to wait between two steps: no lease may run out meanwhile."""
        return min(INTERVAL_S, self.settings.lease_s / 3)

    def begin(self, *, alone: bool) -> None:
        """Write the first heartbeat.

        `alone`: no other worker uses this database, so whatever is running in it was left by a process that died.

        Raises:
            Unavailable: the database does not answer.
        """
        # Whoever had this name before is gone.
        leave(self.database, self.name)
        self.beat()
        if alone:
            self._reconcile(alone=True)

    def step(self) -> bool:
        """Renew leases, tell that this worker lives, and publish what was lost; there is never more to do at once.

        Raises:
            Unavailable: the database or the broker does not answer.
        """
        restart_dead()
        self.processor.renew_leases()
        self.fetcher.renew_leases()
        self.importer.renew_lease()
        self.processor.engine.release_unused()
        self.beat()
        self._reconcile(alone=False)
        self._touch()
        return False

    def end(self) -> None:
        """Take this worker off the list."""
        try:
            leave(self.database, self.name)
        except Unavailable as exc:
            log.warning("%s", exc.with_place)

    def beat(self) -> None:
        """Tell that this worker lives, and what it has loaded. Safe to call from several threads.

        Raises:
            Unavailable: the database does not answer.
        """
        with self._beating:
            beat(
                self.database,
                self.name,
                warm=self.warm,
                items_done=self.processor.items_done,
                imports=self.importer.takes,
                failing=self.failing,
                calls=self.calls,
            )

    def _reconcile(self, *, alone: bool) -> None:
        chunk_items = self.settings.chunk_items
        # Asked before anything is published: an empty queue tells that what it should hold is lost.
        is_empty = self.publisher.waiting_messages() == 0
        lost = None if alone else self._watch.lost(self.database)
        freed = [] if lost == frozenset() else freed_chunks(self.database, lost, chunk_items=chunk_items)
        if freed:
            log.warning("%d chunks were left by lost workers: publishing them again", len(freed))
            self.publisher.publish(freed)
            for job_id, chunks in groupby(freed, key=lambda chunk: chunk.job_id):
                mark_published(self.database, job_id, start=next(chunks).start)
        grace_s = 0.0 if alone else GRACE_S
        found = unpublished_chunks(
            self.database, chunk_items=chunk_items, grace_s=grace_s, is_queue_empty=is_empty
        )
        for job_id, missing in found:
            try:
                self.publisher.publish(missing)
            except Unavailable:
                mark_unpublished(self.database, job_id, start=missing[0].start)
                raise
            log.info("job %s: published %d chunks again", job_id, len(missing))

    def _touch(self) -> None:
        """Show a health check that looks at the file's date that all is well."""
        if self.settings.heartbeat_file is not None:
            self.settings.heartbeat_file.touch()
