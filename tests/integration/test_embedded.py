"""The service in one process, as `make run` starts it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.celeriac import ROOT, Celeriac, celeriac
from testing.processes import free_ports, wait_until

PATIENT = [6, 148, 72, 35, 0, 33.6, 0.627, 50]
SMALL_STEPS = {"CHUNK_ITEMS": "32", "BATCH_ITEMS": "8"}


@pytest.fixture
def service(tmp_path: Path, model_store: str) -> Iterator[Celeriac]:
    with celeriac(tmp_path, MODEL_STORE=model_store, **SMALL_STEPS) as running:
        yield running


def test_both_built_in_models_answer(service: Celeriac) -> None:
    white_square = [[255 if 8 <= x < 20 and 6 <= y < 22 else 0 for x in range(28)] for y in range(28)]

    diabetes = service.web.post(
        "/api/jobs", json={"model": "diabetes", "inputs": [PATIENT]}, headers={"Prefer": "wait=20"}
    )
    fashion = service.wait_for(service.submit("fashion_mnist", [white_square]))

    assert (diabetes.status_code, diabetes.json()["state"]) == (200, "finished")
    (patient,), (square,) = service.results(diabetes.json()), service.results(fashion)
    assert patient["label"] in ("diabetes", "no diabetes")
    assert len(square["output"]) == 10
    assert sum(square["output"]) == pytest.approx(1, abs=1e-4)


def test_a_job_survives_kill_9_with_every_item_once(service: Celeriac) -> None:
    job = service.submit("slow", [[n, 1] for n in range(1500)])
    service.wait_for(job, done=100)

    service.kill()
    service.start()

    done = service.wait_for(job)
    results = service.results(job)
    assert (done["state"], done["succeeded"], done["failed"]) == ("finished", 1500, 0)
    assert [item["index"] for item in results] == list(range(1500))
    assert {item["state"] for item in results} == {"succeeded"}


def test_a_limit_holds_on_after_kill_9_for_those_behind_a_proxy_and_not_for_the_machine_itself(
    tmp_path: Path, model_store: str
) -> None:
    proxy = {"PROXIES": "127.0.0.1", "LIMIT_REQUESTS": "20"}
    from_outside = {"X-Forwarded-For": "127.0.0.1, 192.0.2.7"}

    def ask(times: int) -> int:
        """How many of so many requests are let in."""
        answers = [running.web.get("/api/models", headers=from_outside) for _ in range(times)]
        return sum(answer.status_code == 200 for answer in answers)

    def stored() -> int:
        with contextlib.closing(sqlite3.connect(tmp_path / "state" / "celeriac.sqlite3")) as database:
            (used,) = database.execute("SELECT sum(used) FROM rate_window WHERE kind = 'requests'").fetchone()
            return used or 0

    with celeriac(tmp_path, MODEL_STORE=model_store, **proxy) as running:
        assert ask(12) == 12
        wait_until(lambda: stored() == 12, what="the requests are told to the database")
        running.kill()
        running.start()

        let_in = ask(1)
        wait_until(lambda: stored() == 13, what="they are once more, and what was before is read")
        let_in += ask(20)

        assert 1 < let_in < 20
        assert running.web.get("/api/models").status_code == 200
        assert running.web.get("/livez", headers=from_outside).status_code == 200
        assert running.stop() == 0
        assert stored() == 12 + let_in


def test_a_stop_ends_in_order_and_the_job_goes_on_later(service: Celeriac) -> None:
    job = service.submit("slow", [[n, 1] for n in range(1500)])
    service.wait_for(job, done=50)

    code = service.stop()
    service.start()

    assert code == 0
    assert service.wait_for(job)["succeeded"] == 1500


def test_an_open_event_stream_is_ended_in_order_when_the_service_stops(service: Celeriac) -> None:
    job = service.submit("slow", [[n, 1] for n in range(1500)])

    with service.web.stream("GET", job["links"]["events"]) as stream:
        lines = stream.iter_lines()
        first = next(line for line in lines if line.startswith("id"))
        code = service.stop()
        last = [line for line in lines if line][-1]

    assert (first, code) == ("id: 0", 0)
    assert last.startswith("data: {")


def test_a_second_server_on_the_same_state_is_refused_in_one_line(service: Celeriac) -> None:
    second = run_server(STATE_DIR=str(service.directory / "state"))
    third = run_server(STATE_DIR=str(service.directory / "other"), PORT=str(service.port))

    assert second.returncode == 1
    assert second.stderr.startswith("celeriac: STATE_DIR: ")
    assert second.stderr.count("\n") == 1
    assert third.returncode == 1
    assert third.stderr.startswith("celeriac: HOST, PORT: expected an address that can be listened on")


def test_settings_that_make_no_sense_are_named_together_and_nothing_starts(tmp_path: Path) -> None:
    refused = run_server(STATE_DIR=str(tmp_path), PORT="x", WORKERS="0", DATABASE_URL="mysql://u:s3cret@h/d")

    assert refused.returncode == 1
    assert [line.split(":")[1].strip() for line in refused.stderr.splitlines()] == [
        "DATABASE_URL", "PORT", "WORKERS",
    ]  # fmt: skip
    assert "s3cret" not in refused.stderr


def test_a_state_folder_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    refused = run_server(STATE_DIR=str(tmp_path / "file" / "state"))

    assert refused.returncode == 1
    assert refused.stderr.startswith("celeriac: STATE_DIR: expected a folder that can be written")


def test_it_tells_what_it_and_the_worker_inside_have_done_and_leaves_nothing_behind(
    service: Celeriac,
) -> None:
    service.wait_for(service.submit("table", [[0, 1], [9, 1], [10, 1]]))
    service.web.post("/v1/models/table:predict", json={"instances": [[0, 1]]}).raise_for_status()
    text = service.web.get("/metrics").text
    mine = f"celeriac-metrics-{service.pid}-*"
    while_it_ran = list(Path("/dev/shm").glob(mine))

    service.kill()
    service.start()
    service.stop()

    assert re.search(r'^celeriac_chunk_items_total{.*"succeeded".*} 2.0$', text, re.MULTILINE)
    assert re.search(r'^celeriac_calls_total{code="200",model="table".*} 1.0$', text, re.MULTILINE)
    assert re.search(r"^process_resident_memory_bytes{pid=.*}", text, re.MULTILINE)
    assert while_it_ran and not list(Path("/dev/shm").glob(mine))


def test_it_tells_how_many_chunks_wait_until_none_does(service: Celeriac) -> None:
    job = service.submit("slow", [[n, 1] for n in range(1500)])
    service.wait_for(job, done=50)
    busy, ready = waiting_chunks(service), service.web.get("/readyz").json()["checks"]["broker"]

    service.web.delete(job["links"]["self"]).raise_for_status()
    wait_until(lambda: waiting_chunks(service) == 0, what="no chunk waits")

    assert 0 < busy < 1500 / 32
    assert ready["ok"]


def waiting_chunks(service: Celeriac) -> float:
    text = service.web.get("/metrics").text
    found = re.search(r'^celeriac_queue_messages{queue="celeriac.jobs"} (.*)$', text, re.MULTILINE)
    assert found and "celeriac_broker_up 1.0" in text
    return float(found[1])


def test_only_its_owner_can_read_the_state(service: Celeriac) -> None:
    assert (service.directory / "state").stat().st_mode & 0o077 == 0


def test_it_listens_on_loopback_only(service: Celeriac) -> None:
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout

    assert [line.split()[3] for line in listening.splitlines() if f":{service.port} " in line] == [
        f"127.0.0.1:{service.port}"
    ]


@pytest.mark.parametrize(("log_format", "is_told"), [("text", True), ("json", False)])
def test_who_starts_it_in_a_terminal_is_told_the_pages_address_and_how_to_stop(
    tmp_path: Path, log_format: str, is_told: bool
) -> None:
    (port,) = free_ports(1)
    settings = {"PORT": str(port), "STATE_DIR": str(tmp_path / "state"), "LOG_FORMAT": log_format}
    ours, theirs = pty.openpty()
    with os.fdopen(ours, encoding="utf-8") as terminal:
        server = subprocess.Popen(
            [sys.executable, "-m", "production_server", "run"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | settings,
            stderr=theirs,
        )
        os.close(theirs)
        lines = iter(terminal.readline, "")
        assert any(f"listening on http://127.0.0.1:{port}" in line for line in lines)
        server.send_signal(signal.SIGINT)
        rest = rest_of(lines)

    assert server.wait(30) == 0
    told = f"Celeriac answers at http://127.0.0.1:{port}/predictions; Ctrl-C stops it."
    assert (told in rest) == is_told
    assert is_told or [line for line in rest if not line.startswith("{")] == []


def rest_of(lines: Iterator[str]) -> list[str]:
    """What is written to a terminal until nobody has it open any more, which reads as an error."""
    rest = []
    with contextlib.suppress(OSError):
        for line in lines:
            rest.append(line.strip())  # noqa: PERF401 # what was read before the error counts
    return rest


def test_help_explains_each_command() -> None:
    for arguments in ([], ["run"], ["web"], ["worker"], ["migrate"], ["fingerprint"]):
        shown = run_server(arguments=[*arguments, "--help"])
        assert shown.returncode == 0
        assert shown.stdout.startswith("Usage:")


def run_server(*, arguments: list[str] | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to end at once; at a free port, for somebody may have the usual one."""
    (port,) = free_ports(1)
    return subprocess.run(
        [sys.executable, "-m", "production_server", *(arguments or ["run"])],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PORT": str(port)} | settings,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
