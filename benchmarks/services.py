"""The service under measurement: embedded, and over RabbitMQ with PostgreSQL, each as `make run` starts it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from testing.celeriac import Celeriac, celeriac
from testing.postgres import find_postgres, postgres_cluster
from testing.rabbitmq import find_rabbitmq, rabbitmq_node

DEFAULTS = {"LEASE_S": "30", "DRAIN_S": "20"}
"""The service's own defaults: the tests' service has shorter ones."""


@contextlib.contextmanager
def embedded(**settings: str) -> Iterator[Celeriac]:
    """One process, SQLite."""
    with _folder() as folder, celeriac(folder, **DEFAULTS, **settings) as service:
        yield service


@contextlib.contextmanager
def over_rabbitmq(workers: int = 1, **settings: str) -> Iterator[Celeriac]:
    """A web process and workers, RabbitMQ and PostgreSQL.

    Raises:
        RuntimeError: RabbitMQ or PostgreSQL is not installed.
    """
    rabbitmq, postgres = find_rabbitmq(), find_postgres()
    if rabbitmq is None or postgres is None:
        raise RuntimeError("RabbitMQ and PostgreSQL must be installed: `make test` does that where it may")
    with _folder() as folder, rabbitmq_node(rabbitmq) as node, postgres_cluster(postgres) as cluster:
        cluster.add_database("bench")
        urls = {"BROKER_URL": node.url(), "DATABASE_URL": cluster.url("bench")}
        with celeriac(folder, WORKERS=str(workers), **urls, **DEFAULTS, **settings) as service:
            yield service


def answered(service: Celeriac, model: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Send pictures as one job, as the page does, and wait until all are answered; gives the job.

    Raises:
        RuntimeError: an item of it did not succeed.
    """
    parts = [("file", (name, data, "application/octet-stream")) for name, data in files.items()]
    sent = service.web.post("/api/jobs", data={"model": model}, files=parts).raise_for_status()
    done = service.wait_for(sent.json())
    if done["succeeded"] != done["total"]:
        raise RuntimeError(f"the job did not succeed: {done}")
    return done


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="celeriac-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
