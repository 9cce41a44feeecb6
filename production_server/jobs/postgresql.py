"""Connections to PostgreSQL that wait for no server which is silent. Imported where there is one.

A server that is frozen, or behind a network that swallows what is sent, ends no connection, and none of its own
time-outs works. Its kernel may even confirm what is sent, so that ours notices nothing either.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Self, TypeVar

import psycopg

from production_server.jobs.silence import Silence

CONNECT_S = 2
"""psycopg waits no less."""
LOOK_EVERY_S = 0.1
LOOKS = 20
"""After so many looks in vain the server is asked whether it still works for us. Counted, not timed: a process that was
frozen itself, or busy, has not waited."""
LONGEST_S = 30
"""For a statement; but for those that change as many rows as a job may have."""
MOST_LOOKS = round(1.2 * LONGEST_S / LOOK_EVERY_S)
"""The server would have ended the statement by then: the one process of it that works for us is stuck."""
LOCK_S = 3
"""To wait for what somebody else has locked."""
IDLE_S = 5
"""Whoever is frozen, or lost, within a transaction keeps its locks no longer than this."""
PARAMETERS: dict[str, Any] = {
    "connect_timeout": CONNECT_S,
    # Where nothing confirms what is sent, our kernel gives up after 4 s; where nothing is sent, after 9 s.
    "tcp_user_timeout": 4000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}
_SESSION = f"""
    SET lock_timeout = '{LOCK_S}s';
    SET statement_timeout = '{LONGEST_S}s';
    SET idle_in_transaction_session_timeout = '{IDLE_S}s'
"""
# It waits for us while we wait for it: what one of us sent was lost. Nobody but us would let go of what it has locked.
_END_IF_FORGOTTEN = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid = %s AND (state LIKE 'idle%%' OR wait_event_type = 'Client')
"""

Returned = TypeVar("Returned")


class Forgotten(psycopg.OperationalError):
    """Raised when a server is silent, or does nothing for this connection."""


class _Impatient(psycopg.Connection[Any]):
    """A connection that nobody waits for longer than `LOOKS`."""

    def wait(
        self, gen: Generator[Any, Any, Returned], interval: float = LOOK_EVERY_S, timeout: float | None = None
    ) -> Returned:
        return super().wait(self._watched(gen), interval, timeout)

    def _watched(self, gen: Generator[Any, Any, Returned]) -> Generator[Any, Any, Returned]:
        """What psycopg waits for; `interval` after `interval` it is told that nothing came."""
        looks = 0
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                looks = 0 if ready else looks + 1
                # The answer may have come while we asked.
                if (
                    looks
                    and looks % LOOKS == 0
                    and self._is_forgotten(looks)
                    and not (ready := (yield wanted))
                ):
                    self.pgconn.finish()
                    raise Forgotten("the server has gone silent")
                wanted = gen.send(ready)
        except StopIteration as end:
            returned: Returned = end.value
            return returned

    def _is_forgotten(self, _looks: int) -> bool:
        return True


class WatchedConnection(_Impatient):
    """A connection that asks, before it gives up, whether the server is at work for it."""

    may_take_long = False
    asked: dict[str, Any]
    silence: Silence

    @classmethod
    def open(cls, silence: Silence, **parameters: Any) -> Self:
        """Connect.

        Raises:
            Unavailable: the server is known to be silent.
            psycopg.OperationalError: it does not answer, or lets nobody in.
        """
        silence.check()
        try:
            connection = cls.connect(**parameters)
        except psycopg.errors.ConnectionTimeout:
            silence.begins()
            raise
        connection.asked, connection.silence = parameters, silence
        # Not by the connection's `options`: the URL may have some, and proxies such as PgBouncer refuse them.
        connection.autocommit = True
        connection.execute(_SESSION)
        connection.autocommit = False
        return connection

    def _is_forgotten(self, looks: int) -> bool:
        if looks > MOST_LOOKS and not self.may_take_long:
            return True
        try:
            with _Impatient.connect(**self.asked, autocommit=True) as probe:
                asked = probe.execute(_END_IF_FORGOTTEN, (self.info.backend_pid,))
                return asked.fetchone() is not None
        except (psycopg.errors.ConnectionTimeout, Forgotten):
            self.silence.begins()
            return True
        except psycopg.Error:
            return False  # It answers, if only that it has no room for another connection.
