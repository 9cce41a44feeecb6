"""The state folder: made when it is needed, its owner's alone, and held by one embedded server at a time."""

from __future__ import annotations

import fcntl
import os
import stat
from functools import partial
from pathlib import Path

import click

from production_server.errors import Fault, SettingsError
from production_server.jobs.database import Database
from production_server.settings import Settings

LOCK_FILE = "lock"
NOBODY_ELSE = 0o077
"""What others than its owner may do with a file or folder that this makes: nothing."""
COMMAND_PATIENCE_S = 30.0
"""A command waits so long for others that write: nobody but the person who typed it waits for it."""


def keep_to_owner(context: click.Context) -> None:
    """Have all files and folders that this command makes, and that its children make, be for their owner only."""
    context.call_on_close(partial(os.umask, os.umask(NOBODY_ELSE)))


def make_state_dir(folder: Path) -> None:
    """Make the folder, readable by its owner only; of one that was there the databases, which a release before made.

    Its mode stays as it was then: it may be somebody's home.

    Raises:
        SettingsError: it cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError("not writable")
        for file in folder.glob("*.sqlite3*"):
            _close_to_others(file)
    except OSError as exc:
        fault = Fault("STATE_DIR", "a folder that can be written", f"{folder} ({exc.strerror or exc})")
        raise SettingsError((fault,)) from exc


def _close_to_others(file: Path) -> None:
    found = file.lstat()
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_mode & NOBODY_ELSE:
        file.chmod(stat.S_IMODE(found.st_mode) & ~NOBODY_ELSE)


def open_database(settings: Settings) -> Database:
    """The database of a command, at the newest schema: there may not have been a service yet.

    Raises:
        SettingsError: the state folder cannot be made. Unavailable: the database does not answer.
    """
    if not settings.database_url:
        make_state_dir(settings.state_dir)
    database = Database(settings.resolved_database_url, lock_s=COMMAND_PATIENCE_S)
    database.migrate()
    return database


def hold(folder: Path) -> int:
    """Take the folder for this process and its children; returns the descriptor that holds it until they end.

    An embedded server takes what it finds running in its database for left behind by a process that died, so there
    must not be a second one.

    Raises:
        SettingsError: another server holds it.
    """
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        fault = Fault("STATE_DIR", "a folder that no other server uses", f"{folder}, which another one holds")
        raise SettingsError((fault,)) from exc
    return descriptor
