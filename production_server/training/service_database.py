"""The database of the service on this machine, as its settings name it, for trainings on what people said there."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from production_server.errors import Conflict, NotFound, Unavailable
from production_server.jobs.database import Database
from production_server.settings import read_settings
from production_server.training.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from production_server.settings import Settings

SQLITE = "sqlite:///"
WHERE = "STATE_DIR, or DATABASE_URL, says where the service's database is"


@contextmanager
def service_database(environment: Mapping[str, str]) -> Iterator[tuple[Database, Settings]]:
    """The database, and the settings that name it (STATE_DIR, DATABASE_URL).

    Raises:
        DataError: there is none, or what is asked for in the block is not in it.
        SettingsError: the environment holds values that cannot be used.
    """
    settings = read_settings(environment)
    url = settings.resolved_database_url
    if url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).is_file():
        # Asked for, SQLite would make an empty one.
        raise DataError(f"{url}: there is no such file; {WHERE}")
    database = Database(url)
    try:
        database.check()
        yield database, settings
    except (NotFound, Conflict, Unavailable) as exc:
        raise DataError(f"{exc.with_place}; {WHERE}") from exc
    finally:
        database.close()
