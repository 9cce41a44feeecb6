"""What a driver's error says of the database: the one table of what is a state of the server, and not our mistake.

PostgreSQL's codes are in its manual, appendix A; the first two characters are a class. SQLite's are those of its page
on result and error codes. Whatever is not here is a mistake of ours, and stays the exception that it is.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

SILENT, READ_ONLY, BUSY, UNREADABLE, FOREIGN, FULL = (
    "does not answer",
    "cannot be written to",
    "is busy",
    "cannot be read",
    "is not as this release needs it",
    "has no room",
)
_POSTGRESQL = {
    "08": SILENT,  # the connection
    "57": SILENT,  # shutting down, starting up, crashed
    "57014": BUSY,  # a statement took too long, or somebody cancelled it
    "25P03": SILENT,  # idle in a transaction for too long, as after a process was frozen
    "25P04": BUSY,  # a transaction took too long
    "25006": READ_ONLY,
    "53": FULL,  # connections, memory
    "53100": READ_ONLY,  # disk
    "58": UNREADABLE,  # the system, files
    "58030": READ_ONLY,  # input or output
    "XX001": UNREADABLE,
    "XX002": UNREADABLE,
    "40": BUSY,  # serialization, deadlock
    "55": BUSY,  # locks, objects in use
    "28": FOREIGN,  # logins
    "3D": FOREIGN,  # no such database
    "3F": FOREIGN,  # no such schema
    "42501": FOREIGN,  # rights
    "42P01": FOREIGN,  # no such table
    "42703": FOREIGN,  # no such column
}
_SQLITE = {
    "SQLITE_FULL": READ_ONLY,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_IOERR_WRITE": READ_ONLY,
    "SQLITE_IOERR_FSYNC": READ_ONLY,
    "SQLITE_IOERR_SHMSIZE": READ_ONLY,
    "SQLITE_IOERR": UNREADABLE,
    "SQLITE_CORRUPT": UNREADABLE,
    "SQLITE_NOTADB": UNREADABLE,
    "SQLITE_CANTOPEN": UNREADABLE,
    "SQLITE_PERM": UNREADABLE,
    "SQLITE_AUTH": FOREIGN,
    "SQLITE_BUSY": BUSY,
    "SQLITE_LOCKED": BUSY,
    "SQLITE_PROTOCOL": BUSY,
    "SQLITE_INTERRUPT": BUSY,
    "SQLITE_NOMEM": FULL,
}


def state_told_by(exc: DBAPIError) -> str | None:
    """What is the matter with the database, to be said behind its name; None: nothing, this is a mistake of ours."""
    cause = exc.orig
    if isinstance(cause, sqlite3.Error):
        return _sqlite_state(cause)
    code = getattr(cause, "sqlstate", None)
    if code is not None:
        return _POSTGRESQL.get(code) or _POSTGRESQL.get(code[:2])
    # The driver's own: no connection, or one that was lost.
    is_lost = exc.connection_invalidated or isinstance(exc, OperationalError | InterfaceError)
    return SILENT if is_lost else None


def cannot_write(exc: DBAPIError) -> bool:
    """Whether the database answers, and cannot write."""
    return state_told_by(exc) == READ_ONLY


def was_not_reached(exc: DBAPIError) -> bool:
    """Whether a driver speaks of the way to a database, and not the database itself."""
    return not isinstance(exc.orig, sqlite3.Error) and getattr(exc.orig, "sqlstate", None) is None


def first_line(exc: Exception) -> str:
    """What a driver says, without the statement that failed and what was in it."""
    cause = getattr(exc, "orig", None) or exc
    return str(cause).strip().split("\n")[0]


def _sqlite_state(cause: sqlite3.Error) -> str | None:
    name = str(getattr(cause, "sqlite_errorname", ""))
    if name == "SQLITE_ERROR" and str(cause).startswith(("no such table", "no such column")):
        return FOREIGN
    # SQLITE_IOERR_WRITE before SQLITE_IOERR.
    return _SQLITE.get(name) or next(
        (state for code, state in _SQLITE.items() if name.startswith(f"{code}_")), None
    )
