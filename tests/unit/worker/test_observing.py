"""What a worker counts of its answers while a canary is tried, and what becomes of a canary that does worse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from production_server.access.records import Actor
from production_server.errors import BrokenVersion, InferenceFailed, InvalidInput, NotFound, Unavailable
from production_server.inference import Outcome, Outputs, PredictedBatch
from production_server.jobs.database import Database
from production_server.learning.canary import ENOUGH, CanaryVerdict
from production_server.learning.promotion import PromotionGate
from production_server.models.registry import Registry
from production_server.models.tasks.task import Prediction
from production_server.serving.canaries import Canary
from production_server.serving.known_standings import KnownStandings
from production_server.serving.promoting import Wanted
from production_server.serving.serving import Serving
from production_server.worker import observing as module
from production_server.worker.observing import Observing
from testing.small_models import write_table_model

ANNA = Actor("anna")
FAILED = InferenceFailed("it failed")


class Worker:
    """One that answers as it is told to, in a service whose version 2 has a share of the work."""

    def __init__(self, database: Database, store: Path) -> None:
        for version in ("1", "2", "3"):
            write_table_model(store, version=version)
        known = KnownStandings(database)
        known.look_again()
        registry = Registry([store], known=known.now, look_again_s=0)
        self.serving = Serving(database, registry, known, store, PromotionGate(margin=0.05))
        self.observing = Observing(database, registry, known)
        self.promote("1")
        self.promote("2", channel="canary", percent=10)

    def promote(self, version: str, **told: Any) -> None:
        self.serving.promote(Wanted(model="table", version=version, **told), by=ANNA)

    def answer_items(self, version: str, *results: Any, ms: float = 1.0) -> None:
        batch = PredictedBatch([Outcome(each, ms) for each in results], 0.0, 0.0)
        self.observing.saw_items("table", version, batch)

    def answer_calls(self, version: str, *shares_of_yes: float, errors: Any = None, ms: float = 2.0) -> None:
        values = np.array([[1 - share, share] for share in shares_of_yes], dtype=np.float32)
        answered = Outputs({"probabilities": values}, errors or {})
        self.observing.saw_calls("table", version, answered, items=len(shares_of_yes), seconds=ms / 1000)

    def canary(self) -> Canary:
        self.observing.tell()
        return self.serving.canaries.named("table")

    def named(self) -> dict[str, str]:
        self.serving.known.look_again()
        return self.serving.registry.channels("table")


@pytest.fixture
def worker(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr(module, "TELL_EVERY_S", 0.0)
    return Worker(database, tmp_path)


def yes() -> Prediction:
    return Prediction("yes", 0.9, {})


def test_items_are_counted_with_their_labels_and_what_fails_unless_the_input_is_at_fault(
    worker: Worker,
) -> None:
    worker.answer_items("2", yes(), FAILED, InvalidInput("no image"), yes())
    worker.answer_items("1", yes())

    (canary, stable) = worker.canary().seen["items"]
    assert (canary.answers, canary.failed, dict(canary.labels)) == (3, 1, {"yes": 2})
    assert (stable.answers, stable.failed) == (1, 0)


def test_calls_are_counted_item_by_item_and_a_batch_that_fails_as_all_its_items(worker: Worker) -> None:
    worker.answer_calls("2", 0.9, 0.9, 0.1, errors={1: FAILED}, ms=4.0)
    worker.answer_calls("2", 0.9, 0.9, errors={0: InvalidInput("no image")})
    worker.observing.saw_calls("table", "2", FAILED, items=3, seconds=0.1)
    worker.observing.saw_calls("table", "2", Unavailable("too late"), items=5, seconds=0.1)

    (canary, _) = worker.canary().seen["calls"]
    assert (canary.answers, canary.failed, dict(canary.labels)) == (7, 4, {"yes": 2, "no": 1})
    assert canary.p95_ms == pytest.approx(4.0, rel=0.05)


def test_one_slow_batch_of_many_items_is_one_slow_answer(worker: Worker) -> None:
    for _ in range(300):
        worker.answer_calls("1", 0.9, ms=2.0)
        worker.answer_items("1", yes(), ms=2.0)
    worker.answer_calls("2", *[0.9] * 50, ms=500.0)
    worker.answer_items("2", *[yes()] * 50, ms=500.0)

    canary = worker.canary()

    assert canary.verdict == CanaryVerdict.UNKNOWN, canary.reasons
    assert [seen.answers for seen, _ in canary.seen.values()] == [50, 50]


def test_what_is_told_adds_up_over_time_and_processes(worker: Worker) -> None:
    other = Observing(worker.observing.database, worker.observing.registry, worker.observing.known)
    for _ in range(3):
        worker.answer_items("2", yes())
        worker.observing.tell()
    other.saw_items("table", "2", PredictedBatch([Outcome(yes(), 1.0)], 0.0, 0.0))
    other.tell()

    (canary, _) = worker.canary().seen["items"]
    assert canary.answers == 4


def test_nothing_is_counted_where_no_canary_is_tried_or_of_another_one(worker: Worker) -> None:
    worker.answer_items("2", FAILED)
    assert worker.canary().seen["items"][0].answers == 1

    worker.promote("3", channel="canary", percent=10)
    assert worker.canary().seen == {}
    worker.serving.remove_channel("table", "canary", by=ANNA)
    worker.answer_items("1", yes())

    assert worker.serving.canaries.show("table") is None
    with pytest.raises(NotFound) as missing:
        worker.canary()
    assert missing.value.code == "canary_not_found"


def test_what_could_not_be_told_is_told_later(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.answer_items("2", yes())

    def away(*_: object) -> None:
        raise Unavailable("the database has gone away")

    with monkeypatch.context() as patch:
        patch.setattr(module, "store_observation", away)
        with pytest.raises(Unavailable):
            worker.observing.tell()
    worker.answer_items("2", yes())

    assert worker.canary().seen["items"][0].answers == 2


def test_what_cannot_be_counted_keeps_nobody_from_his_answer(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.observing.saw_calls("table", "9", Outputs({}, {}), items=1, seconds=0.1)

    assert "what table/9 answered is not counted" in caplog.text
    assert worker.canary().seen == {}


def test_a_canary_that_fails_is_taken_back_and_the_history_says_why(worker: Worker) -> None:
    worker.answer_items("1", *[yes()] * 100)
    worker.answer_items("2", *[FAILED] * 20)
    worker.observing.tell()
    found = worker.canary()

    worker.serving.canaries.look()
    worker.serving.canaries.look()

    assert found.verdict == CanaryVerdict.WORSE
    assert worker.named() == {"stable": "1"}
    event = worker.serving.overview.history("table", limit=1)[0]
    assert (event.act, event.channel, event.before, event.after, event.client, event.reason) == (
        "rolled_back", "canary", "2", None, "the service", "20 of 20 (100.0%) fail, of stable 0 of 100 (0.0%)",
    )  # fmt: skip
    assert (
        len([each for each in worker.serving.overview.history("table", limit=9) if each.act == "rolled_back"])
        == 1
    )


def test_a_canary_that_does_as_well_stays_a_canary(worker: Worker) -> None:
    worker.answer_items("1", *[yes()] * 9 * ENOUGH)
    worker.answer_items("2", *[yes()] * ENOUGH)
    found = worker.canary()

    worker.serving.canaries.look()

    assert found.verdict == CanaryVerdict.AS_GOOD
    assert worker.named() == {"stable": "1", "canary": "2"}


def test_a_canary_that_was_changed_meanwhile_is_not_taken_back(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.answer_items("1", *[yes()] * 100)
    worker.answer_items("2", *[FAILED] * 20)
    found = worker.canary()
    worker.promote("3", channel="canary", percent=10)
    monkeypatch.setattr(type(worker.serving.canaries), "show", lambda *_: found)

    worker.serving.canaries.look()

    assert worker.named() == {"stable": "1", "canary": "3"}


def test_a_broken_version_counts_as_failing(worker: Worker) -> None:
    worker.observing.saw_calls("table", "2", BrokenVersion("damaged"), items=2, seconds=0.1)

    assert worker.canary().seen["calls"][0].failed == 2
