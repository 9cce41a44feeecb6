"""What writes the audit beside requests: refusals, about once a second; and clears away what is old."""

from __future__ import annotations

import logging
import time
from collections import deque

from sqlalchemy import delete, select

from production_server.access.audit import Noted, log_line, write_line
from production_server.access.known_keys import KnownKeys
from production_server.access.refusals import Refusal, Refusals
from production_server.errors import NotKnownYet, Unavailable
from production_server.jobs.database import Database, now
from production_server.jobs.tables import audit
from production_server.loop import Loop

log = logging.getLogger(__name__)

WRITE_EVERY_S = 1.0
MOST_UNWRITTEN = 1000
"""So many wait for a database that is away; of the oldest only the log tells then."""
CLEAR_EVERY_S = 3600.0
CLEARED_AT_ONCE = 500
"""Lines, in one transaction: SQLite has one writer, and others want to write, too."""
DAY_S = 86_400.0


class Recorder:
    """Safe to share between threads; `refuse` never blocks."""

    def __init__(self, database: Database, keys: KnownKeys, *, keep_days: int) -> None:
        """Lines are kept for so many days; 0: for ever."""
        self._database = database
        self._keys = keys
        self._keep_days = keep_days
        self._refusals = Refusals()
        self._unwritten: deque[Refusal] = deque(maxlen=MOST_UNWRITTEN)
        self._clear_at = time.monotonic()
        self._loop = Loop("audit", self.step, pause_s=WRITE_EVERY_S)

    def start(self) -> None:
        """Write now and then, from now on."""
        self._loop.start()

    def close(self) -> None:
        """Write what there is, and no more."""
        self._loop.stop()
        try:
            self._write(all_of_it=True)
        except Unavailable as exc:
            log.warning("%d refusals are told by this log alone: %s", len(self._unwritten), exc.with_place)

    def refuse(self, noted: Noted) -> None:
        """Note what was refused; it is written soon. A service that nobody needs a key for notes nothing."""
        try:
            is_locked = self._keys.are_needed
        except NotKnownYet:
            is_locked = False
        if is_locked:
            self._refusals.note(noted)

    def step(self) -> bool:
        """Write what was refused, clear away some of what is old; whether there is more of that.

        Raises:
            Unavailable: the database does not answer.
        """
        self._write()
        return bool(self._keep_days) and time.monotonic() >= self._clear_at and self._clear()

    def _write(self, *, all_of_it: bool = False) -> None:
        taken = self._refusals.take(all_of_it=all_of_it)
        for refusal in taken:
            log_line(refusal.noted)
        self._unwritten += taken
        if not self._unwritten:
            return
        waiting, self._unwritten = self._unwritten, deque(maxlen=MOST_UNWRITTEN)
        try:
            with self._database.write() as connection:
                # Asked once: what happened in a moment is told in its order.
                offset_s = connection.execute(select(now())).scalar_one() - time.monotonic()
                for refusal in waiting:
                    write_line(connection, refusal.noted, at=refusal.at + offset_s)
        except Unavailable:
            # Whatever else goes wrong with a line would go wrong with it for ever, and nothing behind it be written.
            self._unwritten = waiting
            raise

    def _clear(self) -> bool:
        old = select(audit.c.id).where(audit.c.at < now() - self._keep_days * DAY_S)
        some = old.order_by(audit.c.at).limit(CLEARED_AT_ONCE)
        # Mostly there is nothing to clear away: that takes no turn to write.
        with self._database.read() as connection:
            cleared = len(connection.execute(some).all())
        if cleared:
            mine = some.with_for_update(skip_locked=True)
            with self._database.write() as connection:
                cleared = connection.execute(delete(audit).where(audit.c.id.in_(mine))).rowcount
        if cleared < CLEARED_AT_ONCE:
            self._clear_at = time.monotonic() + CLEAR_EVERY_S
        return cleared == CLEARED_AT_ONCE
