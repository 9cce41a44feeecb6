"""Channels where several processes serve: what one says, all know soon, and keep to while the database is away."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from testing.celeriac import Celeriac, celeriac
from testing.postgres import PostgresCluster, new_database
from testing.processes import wait_until
from testing.rabbitmq import RabbitMQNode, new_vhost
from testing.small_models import write_table_model

ROW = {"inputs": [{"name": "features", "shape": [1, 2], "datatype": "FP32", "data": [1, 7]}]}
ASKED = 12
"""Times, each over a connection of its own: one of two processes is left out once in 2,000 runs, and asked again."""


@pytest.fixture
def service(
    rabbitmq: RabbitMQNode, postgres: PostgresCluster, tmp_path: Path
) -> Iterator[tuple[Celeriac, dict[str, str]]]:
    for version in ("1", "2", "3"):
        write_table_model(tmp_path / "store", version=version)
    with new_vhost(rabbitmq) as vhost, new_database(postgres) as url:
        settings = {
            "MODEL_STORE": str(tmp_path / "store"),
            "BROKER_URL": rabbitmq.url(vhost),
            "DATABASE_URL": url,
            "WEB_PROCESSES": "2",
            "WORKERS": "2",
        }
        with celeriac(tmp_path, **settings) as running:
            yield running, settings


def models(settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`models` in a process of its own, as somebody types it on the machine."""
    return subprocess.run(
        [sys.executable, "-m", "production_server", "models", *arguments],
        env={"PYTHONPATH": ":".join(sys.path), **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def answered_by(service: Celeriac, channel: str = "") -> set[str]:
    """The versions that answer calls, whichever web process they come to."""
    path = f"/v2/models/table/versions/{channel}/infer" if channel else "/v2/models/table/infer"
    answers = [httpx.post(f"{service.url}{path}", json=ROW, timeout=30) for _ in range(ASKED)]
    return {answer.json().get("model_version", answer.text) for answer in answers}


def test_what_is_promoted_anywhere_serves_everywhere_and_while_the_database_is_away(
    service: tuple[Celeriac, dict[str, str]], postgres: PostgresCluster
) -> None:
    running, settings = service
    assert answered_by(running) == {"3"}

    promoted = models(settings, "promote", "table", "1", "--why", "a look at it")
    wait_until(lambda: answered_by(running) == {"1"}, what="version 1 serves in each process")
    versions = "/api/models/table/versions/"
    wait_until(
        lambda: len(running.web.get(f"{versions}1").json()["loaded_by"]) == 2,
        what="both workers have loaded it",
    )
    logged = running.log
    by_api = running.web.put(
        "/api/models/table/channels/qa", json={"version": "2"}, headers={"Prefer": "wait=30"}
    )
    wait_until(lambda: answered_by(running, "qa") == {"2"}, what="qa is version 2 in each process")
    retired = models(settings, "retire", "table", "3")
    wait_until(
        lambda: all(
            httpx.get(f"{running.url}/v2/models/table/versions/3").status_code == 410 for _ in range(ASKED)
        ),
        what="version 3 takes no new work",
    )
    call = httpx.post(f"{running.url}/v2/models/table/versions/3/infer", json=ROW)
    postgres.stop()
    try:
        while_away = answered_by(running), answered_by(running, "qa")
    finally:
        postgres.start()

    assert (promoted.returncode, retired.returncode, by_api.status_code) == (0, 0, 200), promoted.stderr
    assert "production_server.models.loaded: loaded table/1 in" in logged
    assert (call.status_code, call.json()["error"]) == (
        410, "version 3 of model 'table' is retired: it takes no new work",
    )  # fmt: skip
    assert while_away == ({"1"}, {"2"})


def test_what_workers_cannot_load_is_refused_and_what_served_serves_on(
    service: tuple[Celeriac, dict[str, str]], tmp_path: Path
) -> None:
    running, settings = service
    write_table_model(
        tmp_path / "store", version="4", outputs=[{"name": "nothing", "shape": [None, 2], "dtype": "float32"}]
    )
    # Nobody has promoted anything: the newest would be stable, if workers could load it.
    wait_until(
        lambda: not running.web.get("/readyz").json()["checks"]["models"]["ok"], what="readyz tells of it"
    )
    told = running.web.get("/readyz").text
    while_newest = answered_by(running)

    assert models(settings, "promote", "table", "2").returncode == 0
    refused = models(settings, "promote", "table", "4", "--channel", "qa")
    wait_until(lambda: answered_by(running) == {"2"}, what="version 2 serves in each process")

    assert running.is_ready()
    assert "table/4 does not load in" in told and while_newest == {"3"}
    assert refused.returncode == 1 and "cannot load it" in refused.stderr
    assert "outputs probabilities" in running.web.get("/models/table/versions").text


def test_no_call_waits_while_versions_change(service: tuple[Celeriac, dict[str, str]]) -> None:
    running, settings = service
    assert models(settings, "promote", "table", "1").returncode == 0
    ended, answers = threading.Event(), list[tuple[int, str]]()

    def ask() -> None:
        with httpx.Client(base_url=running.url, timeout=30) as client:
            while not ended.is_set():
                answer = client.post("/v2/models/table/infer", json=ROW)
                answers.append((answer.status_code, answer.json().get("model_version", answer.text)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        done = [models(settings, "promote", "table", version) for version in ("2", "3")]
        done.append(models(settings, "rollback", "table"))
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    wait_until(lambda: answered_by(running) == {"2"}, what="version 2 serves in each process again")

    assert [each.returncode for each in done] == [0, 0, 0], [each.stderr for each in done]
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} <= {"1", "2", "3"}
    versions = running.web.get("/api/models/table/versions").json()["versions"]
    assert [len(each["loaded_by"]) for each in versions] == [2, 2, 2]


def test_a_canary_gets_its_share_of_calls_and_jobs_and_each_answer_says_which_version_it_is_from(
    service: tuple[Celeriac, dict[str, str]],
) -> None:
    running, settings = service
    assert models(settings, "promote", "table", "1").returncode == 0
    done = models(settings, "promote", "table", "2", "--channel", "canary", "--percent", "50")
    wait_until(lambda: answered_by(running) == {"1", "2"}, what="both versions answer calls")

    sticky = {"X-Celeriac-Sticky": "anna"}
    body = {"instances": [[1, 7]]}
    answers = [
        httpx.post(f"{running.url}/v1/models/table:predict", json=body, headers=sticky) for _ in range(ASKED)
    ]
    ask = {"model": "table", "inputs": [[1, 7]]}
    jobs = [running.web.post("/api/jobs", json=ask).json()["version"] for _ in range(2 * ASKED)]
    again = [
        running.web.post("/api/jobs", json=ask, headers={"Idempotency-Key": "job-1"}).json() for _ in range(3)
    ]
    assert models(settings, "promote", "table", "canary").returncode == 0
    wait_until(lambda: answered_by(running) == {"2"}, what="version 2 serves alone")

    assert done.stdout.endswith(
        "table canary is version 2, for 50 % of the work, within two seconds everywhere.\n"
    )
    assert len({answer.headers["X-Celeriac-Version"] for answer in answers}) == 1
    assert set(jobs) == {"1", "2"}
    assert len({job["id"] for job in again}) == 1


def test_a_canary_that_answers_otherwise_is_taken_back_by_itself_and_no_call_fails(
    service: tuple[Celeriac, dict[str, str]], tmp_path: Path
) -> None:
    running, settings = service
    assert models(settings, "promote", "table", "1").returncode == 0
    write_table_model(tmp_path / "store", version="4", threshold={"value": 0.01, "reason": "a mistake"})
    statuses: set[int] = set()

    def ask() -> bool:
        answers = [httpx.post(f"{running.url}/v2/models/table/infer", json=ROW) for _ in range(20)]
        statuses.update(answer.status_code for answer in answers)
        return len(running.web.get("/api/models/table/channels").json()["channels"]) == 1

    done = models(settings, "promote", "table", "4", "--channel", "canary", "--percent", "30")
    wait_until(ask, what="the canary is taken back", timeout_s=60)

    event = running.web.get("/api/models/table/history").json()["events"][0]
    assert (done.returncode, statuses) == (0, {200})
    assert (event["act"], event["channel"], event["before"], event["client"]) == (
        "rolled_back", "canary", "4", "the service",
    )  # fmt: skip
    assert "100% of its labels are others: yes 100%, of stable no 100%" in event["reason"]
    wait_until(lambda: answered_by(running) == {"1"}, what="version 1 serves alone")
