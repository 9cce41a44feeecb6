"""Whether a database takes what is written: a full disk, or one that only reads, is told to the log and to /readyz.

A write that fails is remembered until one of this module's own works: many transactions that write nothing, or little,
work on a full disk.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, delete, insert
from sqlalchemy.exc import DBAPIError

from production_server.errors import Unavailable
from production_server.jobs.refusals import cannot_write, first_line
from production_server.jobs.tables import worker

TELL_AGAIN_AFTER_S = 60.0
"""The same cause is told to the log this often at most, however many requests fail of it."""
FILLER_BYTES = 2**17
"""A probe needs as much room as a small picture: less would find it between what is stored already."""
log = logging.getLogger(__name__)


class Writing:
    """What is known of one database's writes. Safe to share between threads."""

    def __init__(self, name: str, *, probe_every_s: float = 5.0) -> None:
        """`name`: what the log calls the database, without its password."""
        self.probe_every_s = probe_every_s
        self._name = name
        self._fault = ""
        self._told_at = self._probed_at = float("-inf")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Remember a write that fails inside the block because nothing can be written, and tell the log of it."""
        try:
            yield
        except DBAPIError as exc:
            if cannot_write(exc):
                self._failed(first_line(exc))
            raise

    def check(self, write: Callable[[], AbstractContextManager[Connection]]) -> None:
        """After a write has failed, whether one works now: tries it every few seconds, however often this is asked.

        Raises:
            Unavailable: it does not.
        """
        if not self._fault:
            return
        if time.monotonic() - self._probed_at < self.probe_every_s:
            raise Unavailable(f"the database cannot be written to: {self._fault}", place=self._name)
        self._probed_at = time.monotonic()
        # In the table of workers, as one that nobody has seen since 1970: it is not worth a table. With a name of its
        # own, since several processes may try at once; if this one dies, it is forgotten as workers are.
        name, filler = f"(probe {secrets.token_hex(4)})", secrets.token_hex(FILLER_BYTES // 2)
        told = {"started_at": 0.0, "seen_at": 0.0, "warm": [filler], "items_done": 0}
        with write() as connection:
            connection.execute(insert(worker).values(name=name, **told))
        self._fault, self._told_at = "", float("-inf")
        log.info("the database %s can be written to again", self._name)
        with write() as connection:
            connection.execute(delete(worker).where(worker.c.name == name))

    def _failed(self, why: str) -> None:
        is_told = why == self._fault and time.monotonic() - self._told_at < TELL_AGAIN_AFTER_S
        self._fault = why
        if not is_told:
            self._told_at = time.monotonic()
            log.error("the database %s cannot be written to: %s", self._name, why)
