"""The schema's revisions: the one place that knows Alembic. Imported when it is needed: workers never need it.

Migrations only ever add: tables, indexes, and columns that may be null or have a default in the database. So the
release before still works on the schema of the one after it, and who goes back to it leaves the database as it is.
"""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

MIGRATIONS = Path(__file__).parent / "migrations"

_log = logging.getLogger(__name__)


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision, inside the connection's transaction; a newer one stays as it is."""
    found = found_revision(connection)
    if is_newer(found):
        _log.warning("the database is at revision %s, of a newer release than this: left as it is", found)
        return
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def expected_revision() -> str | None:
    """The revision that this code needs."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def is_newer(revision: str | None) -> bool:
    """Whether this code does not know a revision: a newer release has migrated the database."""
    known = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    return revision is not None and revision not in known


def found_revision(connection: Connection) -> str | None:
    """The revision that the database is at; None before the first migration."""
    return MigrationContext.configure(connection).get_current_revision()
