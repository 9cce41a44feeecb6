"""The keys as a process knows them: judging one asks nobody, and what is revoked is known within a second."""

from __future__ import annotations

import contextlib
import hmac
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import Row, func, select, update

from production_server.access.key_text import digest_of, fault_of, id_of
from production_server.access.keys import to_key
from production_server.access.records import Client
from production_server.errors import NotKnownYet, Unauthorized, Unavailable
from production_server.jobs.database import Database, now
from production_server.jobs.shared_look import SharedLook
from production_server.jobs.tables import api_key
from production_server.loop import Loop

LOOK_EVERY_S = 0.5
"""A key is revoked within two of these."""
KNOWN_S = 60.0
"""So long what was known stays so when the database does not answer: then nobody knows what is revoked."""
NOTE_USE_S = 60.0
"""How often it is noted that a key was used."""
JUMP_S = 2.0
"""The database's clock was set, or this machine slept, if they differ by so much more or less than before."""
_CHANGED = select(
    func.count(),
    func.count(api_key.c.revoked_at),
    func.count(api_key.c.expires_at),
    func.sum(api_key.c.expires_at),
)
"""Keys are added, revoked, given an end, and never deleted: whatever happens to one changes one of these. Sessions are
deleted when they have expired for long."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What a key opens, and until when."""

    digest: bytes
    client: Client
    over: str = ""
    """Why it opens nothing whatever the time is, to be said behind "the key"."""
    expires_at: float | None = None
    """By the monotonic clock of this process."""

    def why_over(self) -> str:
        """Why it opens nothing now, to be said behind "the key"; empty: it opens."""
        has_expired = self.expires_at is not None and time.monotonic() >= self.expires_at
        return self.over or ("has expired" if has_expired else "")


class KnownKeys:
    """Safe to share between threads. Nothing but `look_again` blocks."""

    def __init__(self, database: Database, brought: Mapping[bytes, Client] = MappingProxyType({})) -> None:
        """`brought` are clients by the digests of keys that are not stored: those need no database."""
        self._database = database
        self._brought = {client.key_id: _Known(digest, client) for digest, client in brought.items()}
        self._stored: Mapping[str, _Known] = {}
        self._mark: object = None
        self._offset_s = 0.0
        self._used: set[str] = set()
        self._noted_at = time.monotonic()
        self._looks = SharedLook(self._look)
        self._loop = Loop("keys", self._step, pause_s=LOOK_EVERY_S)

    def start(self) -> None:
        """Look now and then, from now on."""
        self._loop.start()

    def close(self) -> None:
        """Look no more."""
        self._loop.stop()

    @property
    def are_needed(self) -> bool:
        """Whether anybody needs a key: there is one, or was once.

        Raises:
            NotKnownYet: this process has just begun.
        """
        if self._brought or self._stored:
            return True
        if not self._looks.began_at:
            raise NotKnownYet("whether a key is needed is not known yet")
        return False

    def find(self, key: str) -> Client:
        """Whose key it is.

        Raises:
            Unauthorized: it opens nothing; says why. NotKnownYet: it is not known here. Unavailable: it was known, and
                what became of it is not, since the database has not answered for a minute.
        """
        known = self._known(id_of(key))
        if known is None or not hmac.compare_digest(known.digest, digest_of(key)):
            fault = fault_of(key)
            if fault is not None:
                raise Unauthorized(f"the key {fault}")
            raise NotKnownYet("the key is not known here")
        if over := known.why_over():
            raise Unauthorized(f"the key {over}")
        if time.monotonic() - self._looks.began_at > KNOWN_S and id_of(key) not in self._brought:
            raise Unavailable("keys cannot be judged: the database has not answered for a minute")
        self._used.add(known.client.key_id)
        return known.client

    def still_hold(self, client: Client) -> bool:
        """Whether the key, or session, with which a client came in some time ago would let it in now."""
        known_as = client.session_id or client.key_id
        if not known_as:
            return not (self._brought or self._stored)
        known = self._known(known_as)
        return known is not None and not known.why_over()

    def look_again(self) -> None:
        """See to it that what was stored before now is known. Blocks.

        Raises:
            Unavailable: the database does not answer.
        """
        self._looks.again()

    def look_if_possible(self) -> None:
        """Know a key that was made just now: the first one closes the service here at once, elsewhere within a second.

        Whoever made it must get its text, also where the database has gone away meanwhile. Blocks.
        """
        with contextlib.suppress(Unavailable):
            self.look_again()

    def _known(self, key_id: str) -> _Known | None:
        return self._brought.get(key_id) or self._stored.get(key_id)

    def _step(self) -> bool:
        self._looks.now()
        if time.monotonic() - self._noted_at > NOTE_USE_S:
            self._note_use()
        return False

    def _look(self) -> None:
        with self._database.read() as connection:
            *mark, stored_at = connection.execute(_CHANGED.add_columns(now())).one()
            offset_s = time.monotonic() - stored_at
            if mark != self._mark or abs(offset_s - self._offset_s) > JUMP_S:
                rows = connection.execute(select(api_key).order_by(api_key.c.parent.is_not(None))).all()
                self._stored = self._known_of_all(rows, offset_s)
                self._mark, self._offset_s = mark, offset_s

    def _known_of_all(self, rows: Iterable[Row[Any]], offset_s: float) -> dict[str, _Known]:
        """All stored keys, and sessions, which come behind them and end with their keys."""
        found: dict[str, _Known] = {}
        for row in rows:
            known = _known_of(row, offset_s)
            if row.parent is not None:
                known = _within(known, found.get(row.parent) or self._brought.get(row.parent))
            found[row.id] = known
        return found

    def _note_use(self) -> None:
        used, self._used = self._used, set()
        self._noted_at = time.monotonic()
        if used:
            with self._database.write() as connection:
                connection.execute(update(api_key).where(api_key.c.id.in_(used)).values(used_at=now()))


def _within(session: _Known, parent: _Known | None) -> _Known:
    """A session, which ends with its key."""
    if parent is None:
        return replace(session, over="of this session is gone")
    ends = [known.expires_at for known in (session, parent) if known.expires_at is not None]
    client = parent.client._replace(session_id=session.client.key_id)
    over = session.over or parent.over
    return replace(session, client=client, over=over, expires_at=min(ends, default=None))


def _known_of(row: Row[Any], offset_s: float) -> _Known:
    """A stored key; the monotonic clock of this process is `offset_s` ahead of the database's clock."""
    key = to_key(row)
    return _Known(
        digest=row.digest,
        client=Client(key.client, key.scopes, key.id, key.name),
        over="" if key.revoked_at is None else "was revoked",
        expires_at=None if key.expires_at is None else key.expires_at + offset_s,
    )
