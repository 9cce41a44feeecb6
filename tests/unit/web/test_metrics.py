from __future__ import annotations

import re
from pathlib import Path

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from production_server.jobs.workers import beat
from production_server.web.metrics import CallTimes
from production_server.web.parts import WebParts

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"
TIMES = CallTimes(waiting_s=0.001, queue_s=0.002, run_s=0.003, batch_items=7)


def samples(web: FlaskClient) -> dict[tuple[str, ...], float]:
    """Each value by its name and its labels' values."""
    text = web.get("/metrics").text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_calls_are_counted_by_what_they_asked_and_how_they_ended(parts: WebParts, web: FlaskClient) -> None:
    parts.metrics.call_answered("v2", ("table", "1"), 200, seconds=0.02, times=TIMES)
    parts.metrics.call_answered("v2", ("table", "1"), 504, seconds=9, times=None)
    parts.metrics.call_answered("v1", ("", ""), 404, seconds=0.01, times=None)

    found = samples(web)

    assert any(key[0] == "celeriac_calls_total" and {"200", "table", "v2"} <= set(key) for key in found)
    assert sum(value for (name, *_), value in found.items() if name == "celeriac_calls_total") == 3
    assert sum(value for (name, *_), value in found.items() if name == "celeriac_call_seconds_count") == 3
    assert sum(value for (name, *_), value in found.items() if name == "celeriac_call_batch_items_sum") == 7


def test_other_requests_are_counted_by_endpoint_never_by_what_a_client_wrote(web: FlaskClient) -> None:
    web.get("/livez")
    web.get("/no/such/path")
    web.get("/no/such/path/either")

    labels = [key for key in samples(web) if key[0] == "celeriac_http_requests_total"]

    assert any("health.livez" in key for key in labels) and any(
        "none" in key and "404" in key for key in labels
    )
    assert not any("such" in part for key in labels for part in key)


def test_the_service_stands_as_database_and_broker_say(parts: WebParts, web: FlaskClient) -> None:
    beat(parts.database, "worker-1", warm=["table/1"], items_done=12)
    web.post("/api/jobs", json={"model": "table", "inputs": [[1, 1], [2, 2], [3, 3]]})

    found = samples(web)

    assert found["celeriac_workers",] == found["celeriac_database_up",] == found["celeriac_broker_up",] == 1
    assert found["celeriac_worker_items_total", "worker-1"] == 12
    assert found["celeriac_jobs", "queued"] == 1 and found["celeriac_items", "open"] == 3


def test_every_metric_is_explained_and_no_other(parts: WebParts, web: FlaskClient) -> None:
    parts.metrics.call_answered("v2", ("table", "1"), 200, seconds=0.02, times=TIMES)
    web.post("/api/jobs", json={"model": "table", "inputs": [[1, 1]]})
    beat(parts.database, "worker-1", warm=["table/1"], items_done=12)
    text = web.get("/metrics").text

    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in text_string_to_metric_families(text)
    }

    rows = re.findall(r"^\| (`celeriac_.*?) \|", OPERATIONS.read_text(), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"celeriac_\w+", row)} == names
