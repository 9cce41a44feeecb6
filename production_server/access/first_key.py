"""The first key of a service that stands on a network: made where it runs, and left in a file there to be read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sqlalchemy import text

from production_server.access.audit import noting
from production_server.access.key_text import new_key
from production_server.access.keys import is_there_a_key, store_key
from production_server.access.records import Actor, NewKey
from production_server.access.scopes import Scope
from production_server.errors import Fault, SettingsError
from production_server.jobs.database import Database

FIRST_KEY = NewKey(name="first key", client="admin", scopes=frozenset({Scope.ADMIN}))
ITSELF = Actor("the service itself")


def make_first_key(database: Database, file: Path) -> bool:
    """Unless there is a stored key, make one of scope `admin` and leave its text in a file; returns whether it did.

    A new file is readable by its owner only. One that is there is written over, and keeps its owner and its mode: who
    made it said who reads it (a container's user writes into a file of the host's).

    Raises:
        SettingsError: the file cannot be written; there is no key then. Unavailable: the database does not answer.
    """
    with noting(ITSELF) as notes, database.write() as connection:
        if not database.is_sqlite:
            # Of two processes that begin at once, one makes it.
            connection.execute(text("SELECT pg_advisory_xact_lock(5101)"))
        if is_there_a_key(connection):
            return False
        key = new_key()
        # Before its row: a key that nobody can read would lock everybody out, a text that is no key does no harm.
        _leave(key, file)
        store_key(connection, key, FIRST_KEY, notes)
    return True


def _leave(key: str, file: Path) -> None:
    try:
        with os.fdopen(_open(file), "w") as opened:
            opened.truncate()
            opened.write(f"{key}\n")
            opened.flush()
            os.fsync(opened.fileno())
    except (OSError, ValueError) as exc:
        got = f"{str(file)!r} ({getattr(exc, 'strerror', None) or exc})"
        raise SettingsError((Fault("FIRST_KEY_FILE", "a file that can be written", got),)) from exc


def _open(file: Path) -> int:
    """Open a regular file, and nothing else, for writing: a FIFO would wait for who reads it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise ValueError("it is no regular file")
