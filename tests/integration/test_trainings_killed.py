"""`kill -9` of the whole service in each step of a training run: it goes on, and does each thing once."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testing.blobs import blobs, label, latest_run, prepare
from testing.celeriac import Celeriac, celeriac
from testing.processes import wait_until

ITEMS, LABELS = 900, 200
FIRST = """
import os, pathlib, time
(pathlib.Path(__file__).parent / "trains").write_text(str(os.getpid()))
time.sleep(0.6)
"""
"""The program takes a while, so that it can be met."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    folder = tmp_path_factory.mktemp("service")
    learning = prepare(folder, first=FIRST, answer_again="2000")
    with celeriac(folder, LEARNING_FILE=str(learning), CHUNK_ITEMS="64", LEASE_S="1") as running:
        rows, truths = blobs(ITEMS, seed=2)
        label(running, running.wait_for(running.submit("blobs", rows.tolist())), truths[:LABELS])
        yield running


@pytest.mark.parametrize("step", ["freeze", "train", "import", "roll_out", "answer"])
def test_a_run_goes_on_wherever_the_service_was_killed(service: Celeriac, step: str) -> None:
    version = int(service.web.get("/api/models/blobs").json()["channels"].get("stable", 1))
    run_id = service.web.post("/api/training-runs", json={"model": "blobs"}).json()["id"]
    database = service.directory / "state" / "celeriac.sqlite3"
    wait_until(lambda: has_reached(database, run_id, step), what=f"it is in the step {step}")

    service.kill()

    (met,) = rows_of(database, "SELECT step, state FROM training_run WHERE id = ?", run_id)
    program = service.directory / "trains"
    trained_by = Path("/proc", program.read_text()) if program.exists() else Path("/none")
    if step == "train":
        wait_until(lambda: not trained_by.exists(), what="its program has died with it")
    # Before anything is found wrong: the tests share the service.
    service.start()
    assert met[1] == "open", "it was met on the way"
    wait_until(lambda: latest_run(service)["state"] != "open", what="the end of the run")
    run = latest_run(service)
    assert (run["state"], run["step"], run["error"]) == ("succeeded", "done", None), run
    assert run["version"] == str(version + 1), "one version"
    assert run["changed"]["answered"] == ITEMS
    (job,) = rows_of(database, "SELECT answer_job, rollout_id FROM training_run WHERE id = ?", run_id)
    counted = rows_of(database, "SELECT count(*) FROM item WHERE job_id = ? AND state = 'succeeded'", job[0])
    assert counted == [(ITEMS,)], "each item once"
    reason = f"training run {run['id']}"
    assert rows_of(database, "SELECT count(*) FROM rollout WHERE reason = ?", reason, is_id=False) == [(1,)]
    jobs = rows_of(database, "SELECT count(*) FROM job WHERE source = 'training'")
    runs = rows_of(database, "SELECT count(*) FROM training_run")
    imports = rows_of(database, "SELECT count(*) FROM model_import WHERE state = 'succeeded'")
    assert jobs == runs == imports


def has_reached(database: Path, run_id: str, step: str) -> bool:
    ((at, labels, answered),) = rows_of(
        database,
        "SELECT step, labels, (SELECT count(*) FROM answered_again WHERE run_id = training_run.id "
        "AND new_idx IS NOT NULL) FROM training_run WHERE id = ?",
        run_id,
    )
    # In the middle of it: the program runs, some items are answered again.
    return bool(at == step and (step != "train" or labels) and (step != "answer" or answered))


def rows_of(database: Path, query: str, value: str = "", *, is_id: bool = True) -> list[tuple[Any, ...]]:
    values = (value.replace("-", "") if is_id else value,) if value else ()
    with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection:
        return list(connection.execute(query, values))
