"""A web app around real parts: SQLite, the small models, and the in-memory broker with no worker behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from production_server.inference import Engine
from production_server.models.registry import Registry
from production_server.settings import Settings, read_settings
from production_server.web.app import create_app
from production_server.web.edge.parts import WebParts, build_parts
from production_server.worker.chunks import ChunkProcessor
from production_server.worker.fetching import Fetcher
from production_server.worker.inputs import Inputs


@pytest.fixture
def settings(tmp_path: Path, small_models: Path) -> Settings:
    return read_settings(
        {
            "DATABASE_URL": f"sqlite:///{tmp_path / 'web.sqlite3'}",
            "MODEL_STORE": str(small_models),
            "MAX_BODY_BYTES": "200000",
            "MAX_JOB_ITEMS": "50",
            "MAX_IMAGE_PIXELS": "1000000",
        }
    )


@pytest.fixture
def parts(settings: Settings, furnish: Callable[[Settings], None]) -> Iterator[WebParts]:
    furnish(settings)
    parts = build_parts(settings)
    parts.standings.look_again()
    yield parts
    parts.database.close()


@pytest.fixture
def app(parts: WebParts) -> Flask:
    return create_app(parts)


@pytest.fixture
def web(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def work(parts: WebParts, small_registry: Registry) -> Any:
    """Work off a job as a worker would."""
    stopping = threading.Event()
    inputs = Inputs(parts.storage, parts.settings, stopping)
    processor = ChunkProcessor(parts.database, Engine(small_registry, threads=1), parts.settings, inputs)
    fetcher = Fetcher(parts.database, processor, parts.settings, stopping)

    def run(job: dict[str, Any]) -> None:
        from uuid import UUID

        assert processor.run(UUID(job["id"]), 0, job["total"])
        while fetcher.work_next():
            pass

    return run
