"""Fixtures of the unit tests: a store of tiny models, and databases of both kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from production_server.jobs.database import Database
from production_server.models.registry import Registry
from tests.small_models import write_image_model, write_shades_model, write_table_model


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


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated, empty database: each test runs on SQLite and on PostgreSQL."""
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}" if is_sqlite else request.getfixturevalue("database_url")
    database = Database(url)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """A migrated, empty SQLite database, for tests that are not about databases."""
    database = Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    database.migrate()
    yield database
    database.close()
