"""What a version answers to stored inputs is known, and shown, before a channel names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from production_server.access.records import Actor
from production_server.inference import Engine
from production_server.jobs.claim import claim, finish
from production_server.jobs.database import Database
from production_server.jobs.records import NewItem, NewJob, Success
from production_server.jobs.rollouts import Rollout, claim_replay
from production_server.jobs.submit import submit
from production_server.jobs.workers import beat
from production_server.learning.promotion import PromotionGate
from production_server.models.registry import Registry
from production_server.models.tasks.task import alike
from production_server.serving.known_standings import KnownStandings
from production_server.serving.promoting import Wanted
from production_server.serving.serving import Serving
from production_server.settings import Settings
from production_server.worker.replaying import Replaying
from testing.small_models import write_table_model

ANNA = Actor("anna")


class Service:
    """Version 1 says yes from an index of 4 on, version 2 from 2 on; version 1 is stable and has answered."""

    def __init__(self, database: Database, store: Path) -> None:
        write_table_model(store, version="1", threshold={"value": 0.2, "reason": "a test"})
        write_table_model(store, version="2", threshold={"value": 0.1, "reason": "a test"})
        known = KnownStandings(database)
        known.look_again()
        registry = Registry([store], known=known.now, look_again_s=0)
        self.database = database
        self.serving = Serving(database, registry, known, store, PromotionGate(margin=0.05))
        self.engine = Engine(registry, threads=1)
        self.replaying = Replaying(self.engine, Settings(), database, registry)
        self.promote("1")

    def promote(self, version: str, channel: str = "stable") -> Rollout:
        begun = self.serving.promote(Wanted(model="table", version=version, channel=channel), by=ANNA).rollout
        assert begun is not None
        return begun

    def answer(self, *indexes: float, version: str = "1") -> Any:
        """A job of rows with these indexes that a version has answered."""
        items = [NewItem(b"[%g,1]" % index) for index in indexes]
        job, _ = submit(
            self.database, NewJob(model="table", version=version, items=items, source="test", client="anna")
        )
        held = claim(self.database, job.id, 0, len(items), lease_s=60, max_attempts=3)
        assert held is not None
        batch = self.engine.predict_batch("table", version, [each.payload for each in items], max_pixels=1)
        results = []
        for place, outcome in enumerate(batch.outcomes):
            answer: Any = outcome.result
            results.append(
                Success(index=place, label=answer.label, score=answer.score, output=answer.output, ms=1.0)
            )
        finish(self.database, held, results)
        return job.id

    def load(self, version: str) -> None:
        self.engine.load("table", version)
        beat(self.database, "w1", warm=["/".join(key) for key in self.engine.loaded], items_done=0)

    def state(self, begun: Rollout) -> Rollout:
        self.serving.rollouts.move_on()
        return self.serving.overview.rollout("table", begun.id)


@pytest.fixture
def service(database: Database, tmp_path: Path) -> Service:
    return Service(database, tmp_path)


def test_a_channel_waits_until_one_has_looked_what_the_version_answers(service: Service) -> None:
    job = service.answer(1, 3, 5)
    service.load("1")
    begun = service.promote("2")
    service.load("2")
    before = service.state(begun)

    service.replaying.look()
    after = service.state(begun)

    assert (before.state, before.replay, after.state) == ("loading", None, "live")
    assert after.replay is not None
    assert (after.replay["against"], after.replay["items"], after.replay["disagreements"]) == ("1", 3, 1)
    assert after.replay["others"] == [
        {"job": str(job), "index": 1, "before": "no (85%)", "after": "yes (15%)"},
    ]


def test_the_latest_jobs_come_first_and_no_more_than_enough(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("production_server.worker.replaying.MOST_ITEMS", 3)
    service.answer(3, 3, 3)
    latest = service.answer(1, 3)
    service.load("1")
    begun = service.promote("2")
    service.load("2")

    service.replaying.look()

    found = service.state(begun).replay
    assert found is not None
    assert (found["items"], found["disagreements"]) == (3, 2)
    assert found["others"][0] == {"job": str(latest), "index": 1, "before": "no (85%)", "after": "yes (15%)"}


def test_a_canary_is_held_against_what_clients_get_now(service: Service) -> None:
    service.answer(3)
    service.load("1")
    begun = service.promote("2", "canary")
    service.load("2")

    service.replaying.look()

    found = service.state(begun)
    assert found.state == "live" and found.replay is not None and found.replay["against"] == "1"


def test_where_nothing_is_stored_nothing_is_waited_for(service: Service) -> None:
    service.load("1")
    begun = service.promote("2")
    service.load("2")

    service.replaying.look()

    found = service.state(begun)
    assert (found.state, found.replay and found.replay["items"]) == ("live", 0)


def test_one_worker_looks_and_another_one_does_when_that_has_died(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer(3)
    service.load("1")
    begun = service.promote("2")
    service.load("2")
    with service.database.write() as connection:
        first = claim_replay(connection, begun.id, lease_s=60)
        second = claim_replay(connection, begun.id, lease_s=60)

    service.replaying.look()
    while_held = service.state(begun).state
    with service.database.write() as connection:
        connection.exec_driver_sql("UPDATE rollout SET replay_until = 0 WHERE state = 'loading'")
    service.replaying.look()

    assert (first, second, while_held, service.state(begun).state) == (True, False, "loading", "live")


def test_what_fails_is_a_disagreement_and_what_cannot_be_compared_keeps_nobody_waiting(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service.answer(3)
    service.load("1")
    begun = service.promote("2")
    service.load("2")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(Engine, "predict_batch", fail)
    service.replaying.look()

    assert service.state(begun).state == "live"
    assert "was not compared" in caplog.text


@pytest.mark.parametrize(
    ("before", "after", "is_alike"),
    [
        ((1.0, 2.0), (1.001, 2.001), True),
        ((1.0, 2.0), (1.1, 2.0), False),
        ((1.0,), (1.0, 1.0), False),
        ({"a": ((1.0,),)}, {"a": [[1.005]]}, True),
        ({"a": 1.0}, {"b": 1.0}, False),
        (("x", True), ("x", True), True),
        (("x", True), ("y", True), False),
        (0.0, 1e-9, True),
    ],
)
def test_answers_without_labels_agree_if_their_numbers_nearly_do(
    before: Any, after: Any, *, is_alike: bool
) -> None:
    assert alike(before, after) is is_alike
