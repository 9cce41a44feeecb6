"""Ten rounds of promote, canary and rollback while 32 clients call and jobs run, as all of them see it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import pytest

from testing.callers import Answered, Calls, calling
from testing.celeriac import Celeriac, celeriac
from testing.processes import wait_until
from testing.rabbitmq import new_vhost
from testing.small_models import write_table_model

ROUNDS = 10
CLIENTS = 32
ITEMS = 10_000
FEW = 50
KNOWN_WITHIN_S = 5.0
"""So long after a change it may be unknown somewhere: two seconds, and what a busy machine adds."""
CHANNELS = "/api/models/table/channels"


def share_of(version: str) -> float:
    """What a version says for each step of `index`: all say yes from 4 on, so that no canary has other labels."""
    return 0.055 + 0.0001 * int(version)


@dataclass(frozen=True, slots=True)
class Stretch:
    """How long a channel named a version (seconds since the epoch, UTC)."""

    version: str
    since: float
    until: float


@pytest.fixture(params=["embedded", "over RabbitMQ"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Celeriac]:
    for version in range(1, 2 + 2 * ROUNDS):
        write_table_model(tmp_path / "store", version=str(version), step=share_of(str(version)))
    settings = {"MODEL_STORE": str(tmp_path / "store")}
    with ExitStack() as stack:
        if request.param == "over RabbitMQ":
            rabbitmq = request.getfixturevalue("rabbitmq")
            settings["BROKER_URL"] = rabbitmq.url(stack.enter_context(new_vhost(rabbitmq)))
            settings["DATABASE_URL"] = request.getfixturevalue("database_url")
            settings |= {"WEB_PROCESSES": "2", "WORKERS": "2"}
        yield stack.enter_context(celeriac(tmp_path, **settings))


def promote(service: Celeriac, channel: str, version: str, **more: Any) -> None:
    answer = service.web.put(
        f"{CHANNELS}/{channel}", json={"version": version} | more, headers={"Prefer": "wait=60"}
    )
    assert answer.status_code == 200 and answer.json()["rollout"]["state"] == "live", answer.text


def has_answered(calls: Calls, version: str) -> bool:
    return any(each.version == version for each in calls.answered[-1000:])


def rows(items: int) -> list[list[int]]:
    return [[index % 10, 7] for index in range(items)]


def test_no_call_fails_and_each_answer_is_of_a_version_that_served_while_versions_come_and_go(
    service: Celeriac,
) -> None:
    promote(service, "stable", "1")
    jobs: list[tuple[dict[str, Any], Answered]] = []

    def submit(items: int) -> None:
        began = time.time()
        job = service.submit("table", rows(items))
        jobs.append((job, Answered(job["version"], began, time.time())))

    with calling(service.url, clients=CLIENTS, pause_s=0.05, share_of=share_of) as calls:
        submit(ITEMS)
        for turn in range(ROUNDS):
            for channel, version, more in (
                ("stable", 2 * turn + 2, {}),
                ("canary", 2 * turn + 3, {"percent": 40}),
            ):
                promote(service, channel, str(version), **more)
                wait_until(partial(has_answered, calls, str(version)), what=f"version {version} answers")
                submit(FEW)
            if turn % 2:
                service.web.post(f"{CHANNELS}/stable/rollback", json={}).raise_for_status()
            else:
                service.web.delete(f"{CHANNELS}/canary").raise_for_status()
        for job, _ in jobs:
            service.wait_for(job)
        before = len(calls.answered)
        wait_until(lambda: len(calls.answered) > before + CLIENTS, what="all clients have called again")

    served = list(stretches(service))
    assert calls.codes.keys() == {200} and not calls.is_wrong, calls.codes
    assert not strangers(served, calls.answered)
    assert not strangers(served, [each for _, each in jobs])
    for job, _ in jobs:
        check_results(service, job)
    check_end(service)


def stretches(service: Celeriac) -> Iterator[Stretch]:
    """Which versions `stable` and `canary` named when, by the history."""
    events = service.web.get("/api/models/table/history", params={"limit": 200}).json()["events"]
    assert not [event for event in events if event["act"] == "refused"]
    named: dict[str, tuple[str, float]] = {}
    for event in reversed(events):
        at = datetime.fromisoformat(event["at"]).timestamp()
        if event["channel"] in named:
            yield Stretch(*named.pop(event["channel"]), at)
        elif event["before"]:
            # What was stable before anybody had said so: the newest that all workers have.
            yield Stretch(event["before"], -inf, at)
        if event["after"]:
            named[event["channel"]] = (event["after"], at)
    for version, since in named.values():
        yield Stretch(version, since, inf)


def strangers(served: list[Stretch], answers: list[Answered]) -> list[tuple[Answered, str]]:
    """The answers of versions that did not serve: nobody may have one before, and everybody forgets it soon after."""
    found = []
    for each in answers:
        of_it = [stretch for stretch in served if stretch.version == each.version]
        early = min((stretch.since - each.ended for stretch in of_it), default=inf)
        late = min(
            (each.began - stretch.until for stretch in of_it if stretch.since <= each.ended), default=inf
        )
        if early > 0:
            found.append((each, f"{early:g} s too early"))
        elif late > KNOWN_WITHIN_S:
            found.append((each, f"{late:g} s too late"))
    return found


def check_results(service: Celeriac, job: dict[str, Any]) -> None:
    """Each item has one result, of the job's version, which answered it."""
    results = service.results(job)
    assert [each["index"] for each in results] == list(range(job["total"]))
    assert {(each["state"], each["version"]) for each in results} == {("succeeded", job["version"])}
    share = share_of(job["version"])
    assert [each["output"][1] for each in results] == pytest.approx(
        [share * row[0] for row in rows(job["total"])], abs=1e-4
    )


def check_end(service: Celeriac) -> None:
    """What channels name is what the history says, everywhere, and nothing is on its way."""
    (stable,) = service.web.get(CHANNELS).json()["channels"]
    last = [each.version for each in stretches(service) if each.until == inf]
    rollouts = service.web.get("/api/models/table/rollouts").json()["rollouts"]

    assert [stable["version"]] == last
    assert {each["state"] for each in rollouts} == {"live"}
    with calling(service.url, share_of=share_of) as calls:
        wait_until(
            lambda: {each.version for each in calls.answered[-CLIENTS:]} == {stable["version"]},
            what="what is stable serves alone",
        )
    assert service.is_ready()
