from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from production_server.inference import Engine
from production_server.jobs.channels import remove_channel, set_channel
from production_server.jobs.workers import beat
from production_server.labels.decisions import decide
from production_server.labels.records import ItemId, NewDecision
from production_server.retraining.policies import Policy
from production_server.retraining.runs import NewRun, add_run, cancel_run
from production_server.web.edge.parts import WebParts
from production_server.web.telemetry.histograms import BulkHistogram, Observations
from production_server.web.telemetry.metrics import CallTimes
from production_server.worker.metrics import WorkerMetrics
from testing.processes import wait_until
from tests.unit.labels.answered import ANNA, answered

OPERATIONS = Path(__file__).parents[4] / "docs" / "operations.md"
TIMES = CallTimes(waiting_s=0.001, queue_s=0.002, batch_s=0.003, model_s=0.002, batch_items=7)


def samples(web: FlaskClient) -> dict[tuple[str, ...], float]:
    """Each value by its name and its labels' values."""
    return values(web.get("/metrics").text)


def values(text: str) -> dict[tuple[str, ...], float]:
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
    assert found["celeriac_object_chunks",] == found["celeriac_away_buckets",] == 0


def test_the_share_of_a_canary_is_told_as_long_as_it_has_one(parts: WebParts, web: FlaskClient) -> None:
    with parts.database.write() as connection:
        set_channel(connection, "table", "canary", "2", client="anna", percent=5.0)
    shared = samples(web)
    with parts.database.write() as connection:
        remove_channel(connection, "table", "canary")

    assert shared["celeriac_canary_percent", "table", "2"] == 5
    assert not [key for key in samples(web) if key[0] == "celeriac_canary_percent"]


def test_trainings_are_counted_with_the_labels_that_they_have_not_seen(
    parts: WebParts, web: FlaskClient
) -> None:
    items = answered(parts.database, [0.6, 0.7, 0.8], model="seen") + answered(parts.database, [0.6])
    policy = Policy.model_validate({"model": "seen", "train": {"command": ["train", "{data}", "{model}"]}})
    decide(parts.database, said("seen", items[0]), by=ANNA)
    run = add_run(parts.database, NewRun(policy=policy, client="somebody", why="hand", actor={}))
    cancel_run(parts.database, run.id)
    for item in items[1:3]:
        decide(parts.database, said("seen", item), by=ANNA)
    decide(parts.database, said("picture", items[3]), by=ANNA)

    found = samples(web)

    assert found["celeriac_training_runs", "seen", "cancelled"] == 1
    assert found["celeriac_training_runs", "seen", "failed"] == 0
    assert 0 <= found["celeriac_training_seconds", "seen"] < 60
    assert found["celeriac_training_new_labels", "seen"] == 2
    assert found["celeriac_training_new_labels", "picture"] == 1, "which was never trained"


def said(model: str, item: ItemId) -> NewDecision:
    return NewDecision(model=model, item=item, kind="label", answer="dark", choices=("dark", "bright"))


def test_every_metric_is_explained_and_no_other(parts: WebParts, web: FlaskClient) -> None:
    parts.metrics.call_answered("v2", ("table", "1"), 200, seconds=0.02, times=TIMES)
    web.post("/api/jobs", json={"model": "table", "inputs": [[1, 1]]})
    beat(parts.database, "worker-1", warm=["table/1"], items_done=12)
    worker = WorkerMetrics(Engine(parts.registry, threads=1))
    texts = [web.get("/metrics").text, generate_latest(worker.registry).decode()]

    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for text in texts
        for family in text_string_to_metric_families(text)
    }

    rows = re.findall(r"^\| (`(?:celeriac|process)_.*?) \|", OPERATIONS.read_text(), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"\w+", row)} == names


COUNT_AND_TELL = """
import sys
from pathlib import Path
from production_server.settings import read_settings
from production_server.web.telemetry.metrics import CallTimes
from production_server.web.edge.parts import build_parts

parts = build_parts(read_settings({}), metrics_folder=Path(sys.argv[1]))
times = CallTimes(waiting_s=0.001, queue_s=0.002, batch_s=0.003, model_s=0.002, batch_items=7)
parts.metrics.call_answered("v2", ("table", "1"), 200, seconds=0.02, times=times)
parts.metrics.request_answered("GET", "health.livez", 200, seconds=0.001)
parts.metrics.start()
print("counted", flush=True)
sys.stdin.readline()
print(parts.metrics.text().decode())
"""


def test_any_web_process_tells_what_all_have_counted(tmp_path: Path) -> None:
    environ = {"PYTHONPATH": ":".join(sys.path), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    first, second, third = [
        subprocess.Popen(
            [sys.executable, "-c", COUNT_AND_TELL, str(tmp_path)],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in (first, second, third):
        assert process.stdout is not None and process.stdout.readline() == "counted\n"

    first.communicate("\n")
    wait_until(lambda: "celeriac_calls_total" in in_folder(tmp_path, second.pid), what="the second has told")
    text, _ = third.communicate("\n")
    second.communicate("\n")
    found = values(text)

    assert found["celeriac_calls_total", "200", "table", "v2", "1"] == 3
    assert found["celeriac_call_batch_items_sum", "table", "v2", "1"] == 21
    assert found["celeriac_http_request_seconds_count", "health.livez", "GET"] == 3
    assert ("process_resident_memory_bytes", str(second.pid)) in found
    assert ("process_resident_memory_bytes", str(first.pid)) not in found
    assert [file.name for file in tmp_path.glob(f"gauge_*_{first.pid}.db")] == []


def in_folder(folder: Path, pid: int) -> str:
    """What a process has told the others."""
    return "".join(file.read_text("latin-1") for file in folder.glob(f"*_{pid}.db"))


def test_a_histogram_counts_each_value_in_its_bucket() -> None:
    registry = CollectorRegistry()
    made = BulkHistogram("h", "h", registry=registry, buckets=(1, 2))
    observations = Observations(made, (1, 2))

    for value in (0, 1, 1.5, 2, 9):
        observations.observe(value)
    observations.tell()
    observations.observe(1)
    observations.tell()
    observations.tell()

    told = values(generate_latest(registry).decode())
    assert [told["h_bucket", le] for le in ("1.0", "2.0", "+Inf")] == [3, 5, 6]
    assert told["h_sum",] == 14.5 and told["h_count",] == 6
