"""Two processes that train, over RabbitMQ and PostgreSQL: one at a time does, and one may be killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from testing.blobs import blobs, label, latest_run, prepare
from testing.celeriac import Celeriac, celeriac
from testing.postgres import PostgresCluster, new_database
from testing.processes import end, spawn, wait_until
from testing.rabbitmq import RabbitMQNode, new_vhost

FIRST = """
import os, pathlib, time
here = pathlib.Path(__file__).parent
with (here / "trained").open("a") as file:
    file.write(f"{os.getppid()} {os.getpid()}\\n")
while (here / "wait").exists():
    time.sleep(0.05)
"""
MANY = 10_000


@pytest.fixture
def service(rabbitmq: RabbitMQNode, postgres: PostgresCluster, tmp_path: Path) -> Iterator[Celeriac]:
    """One trainer is the service's own, another one stands beside it."""
    learning = prepare(tmp_path, first=FIRST)
    with new_vhost(rabbitmq) as vhost, new_database(postgres) as url:
        settings = {
            "BROKER_URL": rabbitmq.url(vhost),
            "DATABASE_URL": url,
            "LEARNING_FILE": str(learning),
            "LEASE_S": "1",
            "WORKERS": "1",
        }
        with celeriac(tmp_path, **settings) as running:
            command = [sys.executable, "-m", "production_server", "trainer"]
            other = spawn(command, directory=tmp_path, env=running._env(), log="trainer.log")
            yield running
            end(other)


def test_one_of_two_trains_beside_10_000_items_and_when_it_is_killed_the_other_does(
    service: Celeriac,
) -> None:
    rows, truths = blobs(200, seed=2)
    label(service, service.wait_for(service.submit("blobs", rows.tolist())), truths[:120])
    trained = service.directory / "trained"
    (service.directory / "wait").touch()
    service.web.post("/api/training-runs", json={"model": "blobs"}).raise_for_status()
    wait_until(trained.exists, what="one of them trains")
    many = service.submit("blobs", blobs(MANY, seed=3)[0].tolist())

    os.kill(trainer_of(int(trained.read_text().split()[0])), signal.SIGKILL)

    wait_until(lambda: len(trained.read_text().splitlines()) == 2, what="the other one trains")
    (service.directory / "wait").unlink()
    wait_until(lambda: is_over(service), what="the end of the run")
    run = latest_run(service)
    assert (run["state"], run["version"], run["error"]) == ("succeeded", "2", None), run
    done = service.wait_for(many)
    assert (done["succeeded"], done["version"]) == (MANY, "1"), "what ran meanwhile has its version"
    jobs = service.web.get("/api/jobs?model=blobs").json()["jobs"]
    assert [each["source"] for each in jobs].count("training") == 1
    assert len(trained.read_text().splitlines()) == 2


def is_over(service: Celeriac) -> bool:
    try:
        return bool(latest_run(service)["state"] != "open")
    except httpx.HTTPError:
        return False  # It is busy.


def trainer_of(child: int) -> int:
    """The process that has started the one that is the parent of the program."""
    return int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
