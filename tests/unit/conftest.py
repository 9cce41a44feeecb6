"""Fixtures of the unit tests: a store of tiny models, and databases of both kinds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from production_server.jobs.database import Database
from production_server.models.registry import Registry
from production_server.settings import Settings
from testing.postgres import PostgresCluster, new_database
from testing.small_models import write_image_model, write_shades_model, write_table_model


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with `table`, `picture` and `shades`."""
    folder = tmp_path_factory.mktemp("store")
    write_table_model(folder)
    write_image_model(folder)
    write_shades_model(folder)
    return folder


@pytest.fixture
def small_registry(small_models: Path) -> Registry:
    return Registry([small_models])


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a migrated, empty SQLite database, to be copied: migrations take longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "jobs.sqlite3"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def furnish(migrated_sqlite: Path) -> Callable[[Settings], None]:
    """Gives settings that name no database yet, or one of SQLite, a migrated and empty one."""

    def copy(settings: Settings) -> None:
        path = Path(settings.resolved_database_url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(migrated_sqlite, path)

    return copy


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresCluster) -> str:
    """The name of a migrated, empty PostgreSQL database, to be copied."""
    name = "migrated"
    postgres.start().add_database(name)
    _migrate(postgres.url(name))
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A migrated, empty database: each test runs on SQLite and on PostgreSQL."""
    kept: Database = request.getfixturevalue(f"{request.param}_database")
    return kept


@pytest.fixture
def sqlite_database(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Database]:
    """A migrated, empty SQLite database, for tests that are not about databases."""
    path = shutil.copy(migrated_sqlite, tmp_path / "jobs.sqlite3")
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture
def postgresql_database(postgres: PostgresCluster, migrated_postgres: str) -> Iterator[Database]:
    """A migrated, empty PostgreSQL database."""
    with new_database(postgres, template=migrated_postgres) as url:
        database = Database(url)
        yield database
        database.close()


def _migrate(url: str) -> None:
    database = Database(url)
    database.migrate()
    database.close()
