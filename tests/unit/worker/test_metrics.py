from __future__ import annotations

import threading

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from production_server.errors import SettingsError
from production_server.inference import Engine
from production_server.jobs.database import Database
from production_server.models.registry import Registry
from production_server.settings import Settings, read_settings
from production_server.storage.storage import Storage
from production_server.worker.chunks import ChunkProcessor
from production_server.worker.inputs import Inputs
from production_server.worker.metrics import MetricsServer, WorkerMetrics
from testing.processes import free_ports
from tests.unit.worker.test_chunks import accept


@pytest.fixture
def settings() -> Settings:
    (port,) = free_ports(1)
    return read_settings({"METRICS_PORT": str(port), "BATCH_ITEMS": "4", "MAX_ATTEMPTS": "1"})


def told(settings: Settings) -> dict[tuple[str, ...], float]:
    """Each value by its name and its labels' values, as Prometheus would get them."""
    text = httpx.get(f"http://127.0.0.1:{settings.metrics_port}/metrics").text
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_worker_tells_what_it_has_done(
    sqlite_database: Database, small_registry: Registry, settings: Settings
) -> None:
    engine = Engine(small_registry, threads=1)
    metrics = WorkerMetrics(engine)
    inputs = Inputs(Storage(()), settings, threading.Event())
    processor = ChunkProcessor(sqlite_database, engine, settings, inputs, metrics=metrics)
    server = MetricsServer(metrics, settings)
    try:
        processor.run(accept(sqlite_database, [b"[0,1]", b"[10,1]", b"[9,1]"]).id, 0, 3)
        processor.run(accept(sqlite_database, [b"[0,1]"], model="nowhere").id, 0, 1)
        found = told(settings)
    finally:
        server.close()

    assert found["celeriac_chunks_total", "table", "done", "1"] == 1
    assert found["celeriac_chunks_total", "nowhere", "failed", "1"] == 1
    assert found["celeriac_chunk_items_total", "table", "succeeded", "1"] == 2
    assert found["celeriac_chunk_items_total", "table", "failed", "1"] == 1
    assert all(
        found["celeriac_chunk_seconds_sum", "table", stage, "1"] > 0 for stage in ("decode", "model", "store")
    )
    assert found["celeriac_loaded_versions", "table", "1"] == 1
    assert found["process_resident_memory_bytes",] > 10_000_000


def test_a_port_that_is_taken_is_named(small_registry: Registry, settings: Settings) -> None:
    metrics = WorkerMetrics(Engine(small_registry, threads=1))
    server = MetricsServer(metrics, settings)
    try:
        with pytest.raises(SettingsError, match=f"METRICS_PORT.*{settings.metrics_port}"):
            MetricsServer(metrics, settings)
    finally:
        server.close()
