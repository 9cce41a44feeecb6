"""Jobs while workers come, go and are killed, and while the broker or the database is restarted or down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from testing.compose_project import ComposeProject
from testing.docker import docker, inspect
from testing.pictures import png
from testing.processes import wait_until
from tests.browser.conftest import ROW
from tests.compose.conftest import health, items_done, wait_until_healthy

IMAGES = 5_000
DIFFERENT = 100
"""The images repeat after so many, and so must their results."""
SLOW = ("-f", "docker/docker-compose.yml", "-f", "tests/compose/slow.yml")


@pytest.fixture(scope="module")
def slowed(shared_project: ComposeProject) -> Iterator[ComposeProject]:
    """The service with workers that take 12 ms for each item, so that a job lasts while things happen to it."""
    try:
        scale(shared_project, 1)
        yield shared_project
    finally:
        shared_project.compose("rm", "--stop", "--force", "worker")
        shared_project.up()


@pytest.fixture
def slow(slowed: ComposeProject) -> ComposeProject:
    """… with one worker, ready."""
    if len(slowed.containers("worker")) != 1:
        scale(slowed, 1)
    slowed.wait_until_ready()
    slowed.wait_for_workers(1)
    return slowed


def scale(project: ComposeProject, workers: int) -> None:
    up = ("up", "--detach", "--wait", "--no-build", "--scale", f"worker={workers}", "worker")
    project.compose(*SLOW, *up)


def submit_images(project: ComposeProject, count: int = IMAGES) -> dict[str, Any]:
    files = [png(seed) for seed in range(DIFFERENT)]
    parts = [("file", (f"{n}.png", files[n % DIFFERENT], "image/png")) for n in range(count)]
    answer = project.web.post("/api/jobs", data={"model": "fashion_mnist"}, files=parts)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def assert_every_item_once(project: ComposeProject, job: dict[str, Any]) -> None:
    """All of a job is done, nothing twice, and each image has the result of its likes."""
    done = project.wait_for(job)
    results = project.results(job)

    assert (done["state"], done["succeeded"], done["failed"]) == ("finished", job["total"], 0)
    assert [item["index"] for item in results] == list(range(job["total"]))
    labels = [item["label"] for item in results]
    assert None not in labels
    assert all(label == labels[index % DIFFERENT] for index, label in enumerate(labels))


def state(project: ComposeProject, job: dict[str, Any]) -> str:
    return str(project.job(job)["state"])


def test_a_job_of_5000_images_survives_scaling_up_and_down_and_a_killed_worker(slow: ComposeProject) -> None:
    names = [f"{slow.name}-worker-{number}" for number in (1, 2, 3)]
    job = submit_images(slow)

    scale(slow, 3)
    wait_until(
        lambda: all(items_done(slow.web.get("/").text).get(name) for name in names),
        what="each of three workers has done something",
    )
    docker("kill", names[1])
    killed_during = state(slow, job)
    scale(slow, 1)
    scaled_during = state(slow, job)

    assert (killed_during, scaled_during) == ("running", "running")
    assert_every_item_once(slow, job)
    assert slow.containers("worker") == [names[0]]


def test_a_worker_that_is_stopped_drains_and_another_one_goes_on(slow: ComposeProject) -> None:
    job = submit_images(slow, count=800)
    slow.wait_for(job, done=50)

    slow.compose("stop", "worker")

    (stopped,) = inspect(slow.containers("worker", all_states=True))
    assert stopped["State"]["ExitCode"] == 0
    assert slow.query("SELECT count(*) FROM item WHERE state = 'running'") == [["0"]]
    assert state(slow, job) == "running"
    slow.compose("start", "worker")
    assert_every_item_once(slow, job)


def test_a_worker_whose_process_ends_is_started_again(slow: ComposeProject) -> None:
    job = submit_images(slow, count=400)
    (name,) = slow.containers("worker")
    slow.wait_for(job, done=50)

    slow.execute(name, "bash", "-c", "kill -TERM 1")

    wait_until(lambda: inspect([name])[0]["RestartCount"] == 1, what="the engine starts it again")
    assert_every_item_once(slow, job)


@pytest.mark.parametrize("service", ["rabbit", "db"])
def test_a_restart_of_broker_or_database_loses_nothing(slow: ComposeProject, service: str) -> None:
    job = submit_images(slow, count=1_000)
    slow.wait_for(job, done=50)

    slow.compose("restart", service)
    restarted_during = state_when_it_answers(slow, job)

    assert restarted_during == "running"
    assert_every_item_once(slow, job)
    wait_until_healthy(slow, service)


def state_when_it_answers(project: ComposeProject, job: dict[str, Any]) -> str:
    wait_until(
        lambda: project.web.get(job["links"]["self"]).status_code == 200, what="the database answers again"
    )
    return state(project, job)


def test_workers_are_unhealthy_while_there_is_no_broker_and_jobs_are_still_accepted(
    slow: ComposeProject,
) -> None:
    slow.compose("stop", "rabbit")
    try:
        job = slow.submit("diabetes", [ROW])
        wait_until(
            lambda: health(slow, "worker") == ["unhealthy"], what="the worker is unhealthy", timeout_s=120
        )
    finally:
        slow.compose("start", "rabbit")

    assert slow.wait_for(job)["succeeded"] == 1
    wait_until_healthy(slow, "worker")
