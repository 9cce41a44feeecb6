"""Messages in hand become jobs; what cannot be read keeps none of the others back, and an outage loses nothing."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from production_server.broker.local_queue import LocalQueue
from production_server.errors import Unavailable
from production_server.intake.intake import Intake
from production_server.jobs.claim import claim, finish
from production_server.jobs.database import Database
from production_server.jobs.deliveries import next_deliveries
from production_server.jobs.read import every_item, list_jobs
from production_server.jobs.records import Job, Success, Told
from production_server.models.registry import Registry
from production_server.settings import read_settings
from production_server.sources.streams import telling
from production_server.sources.streams.counts import Counts
from production_server.sources.streams.message import Message, Outgoing, SourceState
from production_server.sources.streams.receiving import Receiver
from production_server.sources.streams.rules import StreamRule
from production_server.sources.streams.telling import Teller
from production_server.storage.storage import Storage
from testing.pictures import png

EVENT = {"specversion": "1.0", "id": "7", "source": "s", "type": "t", "model": "table"}
ROW = json.dumps({"inputs": [[3, 7]]}).encode()


@dataclass
class Belt:
    """A source in memory: what was not confirmed comes again when it is read from the start."""

    waiting: list[Message] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    pauses: list[bool] = field(default_factory=list)
    put_so_far: int = -1

    def put(self, value: bytes, **headers: str) -> None:
        self.put_so_far += 1
        place = f"in/0/{self.put_so_far}"
        names = {name.replace("__", "-"): text for name, text in headers.items()}
        self.waiting.append(
            Message(value=value, key=b"k", headers=names, place=place, sent_at=1.0, receipt=None)
        )

    def take(self, *, most: int, wait_s: float) -> list[Message]:
        if self.pauses and self.pauses[-1]:
            return []
        found, self.waiting = self.waiting[:most], self.waiting[most:]
        return found

    def confirm(self, taken: Sequence[Message]) -> None:
        self.confirmed += [message.place for message in taken]

    def set_paused(self, *, paused: bool) -> None:
        self.pauses.append(paused)

    def state(self) -> SourceState:
        return SourceState(lag={})

    def close(self) -> None:
        pass


@dataclass
class Post:
    """A sink in memory."""

    sent: list[tuple[str, Outgoing]] = field(default_factory=list)
    is_away: bool = False
    most_bytes: int = 10**9

    def send(self, topic: str, messages: Sequence[Outgoing]) -> list[bool]:
        if self.is_away:
            raise Unavailable("the broker is away")
        fits = [len(each.value) <= self.most_bytes for each in messages]
        self.sent += [(topic, each) for each, is_taken in zip(messages, fits, strict=True) if is_taken]
        return fits

    def close(self) -> None:
        pass


def rule(**changes: Any) -> StreamRule:
    told = {
        "from": "kafka://host:9092/in",
        "models": ["table", "picture"],
        "results": "out",
        "dead_letters": "dead",
    }
    return StreamRule.model_validate(told | changes)


@pytest.fixture
def belt() -> Belt:
    return Belt()


@pytest.fixture
def receiver(sqlite_database: Database, small_registry: Registry, belt: Belt, tmp_path: Path) -> Receiver:
    settings = read_settings({"STORAGE_ALLOW": f"file://{tmp_path}", "CHUNK_ITEMS": "64"})
    storage = Storage(settings.storage_allow)
    return Receiver(
        name="s",
        rule=rule(),
        source=belt,
        intake=Intake(settings, sqlite_database, storage, LocalQueue()),
        registry=small_registry,
    )


def jobs(receiver: Receiver) -> list[Job]:
    return list_jobs(receiver.intake.database, limit=99, whose=None)[::-1]


def told(receiver: Receiver) -> list[Told]:
    return [
        each
        for delivery in next_deliveries(receiver.intake.database, "s", limit=99)
        for each in delivery.told
    ]


def test_rows_of_many_messages_become_one_job(receiver: Receiver, belt: Belt) -> None:
    for _ in range(30):
        belt.put(ROW, model="table")

    receiver.step()

    (job,) = jobs(receiver)
    assert (job.total, job.model, job.source, job.client) == (30, "table", "kafka", "anonymous")
    assert len(belt.confirmed) == 30


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b'{"model": "table", "inputs": [[3, 7]]}', {}),
        (b'{"model": "table", "inputs": [{"index": 3, "weight": 7}]}', {"content__type": "application/json; a=b"}),
        (b"index,weight\n3,7\n", {"model": "table", "content__type": "text/csv"}),
        (
            json.dumps(
                {**EVENT, "data": {"inputs": [[3, 7]]}}
            ).encode(),
            {"content__type": "application/cloudevents+json"},
        ),
        (
            json.dumps(
                {
                    **EVENT,
                    "datacontenttype": "text/csv", "data_base64": base64.b64encode(b"index,weight\n3,7\n").decode(),
                }
            ).encode(),
            {"content__type": "application/cloudevents+json"},
        ),
        (ROW, {"ce_specversion": "1.0", "ce_id": "7", "model": "table", "content__type": "application/json"}),
    ],
)  # fmt: skip
def test_a_row_comes_in_any_of_these_shapes(
    receiver: Receiver, belt: Belt, value: bytes, headers: dict[str, str]
) -> None:
    belt.put(value, **headers)

    receiver.step()

    (job,) = jobs(receiver)
    assert (job.model, job.total) == ("table", 1)


def test_an_image_comes_as_its_bytes_and_by_its_address(
    receiver: Receiver, belt: Belt, tmp_path: Path
) -> None:
    (tmp_path / "there.png").write_bytes(png(8, 8))
    belt.put(png(8, 8), model="picture")
    belt.put(json.dumps({"url": f"file://{tmp_path}/there.png", "model": "picture"}).encode())

    receiver.step()

    names = [[item.name for item in every_item(receiver.intake.database, job.id)] for job in jobs(receiver)]
    assert sorted(names) == [["in-0-0"], ["there.png"]]


@pytest.mark.parametrize(
    ("value", "headers", "why"),
    [
        (b"", {"model": "table"}, "takes no images"),
        (b"{nonsense", {"model": "table"}, "JSON"),
        (b"[1, 2]", {"model": "table", "content__type": "application/json"}, "an object"),
        (b'{"inputs": [[3]]}', {"model": "table"}, "inputs[0]"),
        (b'{"inputs": []}', {"model": "table"}, "inputs"),
        (b'{"inputs": "x"}', {"model": "table"}, "inputs: expected a list"),
        (b'{"input": [[3, 7]]}', {"model": "table"}, "input: expected nothing of this name"),
        (ROW, {}, "model: expected a model that this stream is for"),
        (ROW, {"model": "others"}, "model: expected a model that this stream is for"),
        (ROW, {"model": "table", "version": "99"}, "99"),
        (b"no picture", {"model": "picture"}, "an image file"),
        (b'{"url": "file:///a", "inputs": []}', {"model": "picture"}, "either inputs, or the url"),
        (b'{"url": "s3://elsewhere/a.png"}', {"model": "picture"}, "url"),
        (b'{"url": "file:///etc/passwd"}', {"model": "picture"}, "url"),
        (b'{"specversion": "9"}', {"content__type": "application/cloudevents+json"}, "specversion"),
        (b'{"inputs": [[3, 7]], "id": 5}', {"model": "table"}, "id: expected a text"),
    ],
)
def test_a_bad_message_is_refused_by_name_and_its_neighbours_are_taken(
    receiver: Receiver, belt: Belt, value: bytes, headers: dict[str, str], why: str
) -> None:
    belt.put(ROW, model="table")
    belt.put(value, **headers, id="mine") if b'"id"' not in value else belt.put(value, **headers)
    belt.put(ROW, model="table")

    receiver.step()

    (job,) = jobs(receiver)
    (refused,) = told(receiver)
    assert job.total == 2
    assert len(belt.confirmed) == 3
    assert why in (refused.error_message or "")
    assert refused.message == value


def test_what_comes_again_is_known(receiver: Receiver, belt: Belt) -> None:
    for _ in range(3):
        belt.put(ROW, model="table")
    again = list(belt.waiting)
    belt.put(b"bad", model="table")
    again.append(belt.waiting[-1])
    receiver.step()

    belt.waiting = again
    receiver.step()

    assert [job.total for job in jobs(receiver)] == [3]
    assert len(told(receiver)) == 1
    assert (receiver.counts.items, receiver.counts.known, receiver.counts.refused) == (3, 3, 1)


def test_what_is_in_hand_while_the_database_is_away_is_stored_afterwards(
    receiver: Receiver, belt: Belt, monkeypatch: pytest.MonkeyPatch
) -> None:
    belt.put(ROW, model="table")
    with monkeypatch.context() as away:
        away.setattr(Database, "write", _is_away)
        for _ in range(3):
            with pytest.raises(Unavailable):
                receiver.step()
        assert belt.confirmed == []
        assert belt.pauses == [True]
    belt.put(ROW, model="table")

    receiver.step()
    receiver._counted_at = -9e9
    receiver.step()

    assert [job.total for job in jobs(receiver)] == [1, 1]
    assert belt.confirmed == ["in/0/0", "in/0/1"]
    assert belt.pauses == [True, False]


def _is_away(*_: object, **__: object) -> None:
    raise Unavailable("the database does not answer")


def test_a_stream_pauses_at_its_bound_and_goes_on_at_half_of_it(receiver: Receiver, belt: Belt) -> None:
    receiver.rule = rule(most_waiting="10")
    for _ in range(11):
        belt.put(ROW, model="table")
    receiver.step()
    belt.put(ROW, model="table")

    receiver._counted_at = -9e9
    receiver.step()

    (job,) = jobs(receiver)
    assert belt.pauses == [True]
    assert len(belt.waiting) == 1
    _answer(receiver, job, 5)
    receiver._counted_at = -9e9
    receiver.step()
    assert belt.pauses == [True], "six wait still"
    _answer(receiver, job, 1)
    receiver._counted_at = -9e9
    receiver.step()
    assert belt.pauses == [True, False]
    assert belt.waiting == []


def test_results_and_refusals_are_told_with_the_ids_of_their_requests(
    receiver: Receiver, belt: Belt, small_registry: Registry
) -> None:
    belt.put(ROW, model="table", id="first")
    belt.put(b"bad", model="table", id="second")
    receiver.step()
    _answer(receiver, jobs(receiver)[0], 1)
    post = Post()
    teller = Teller("s", receiver.rule, post, receiver.intake.database, small_registry, Counts())
    teller._turn.is_mine()

    assert teller.step()

    bodies = [(topic, each, json.loads(each.value)) for topic, each in post.sent if topic == "out"]
    assert sorted((body["id"], body["state"]) for _, _, body in bodies) == [
        ("first", "succeeded"),
        ("second", "refused"),
    ]
    ((_, answered, body),) = [each for each in bodies if each[2]["id"] == "first"]
    assert (body["label"], body["model"], body["version"], body["from"]) == ("yes", "table", "1", "in/0/0")
    assert (body["row"], body["sent"]) == (0, "1970-01-01T00:00:01+00:00")
    assert (answered.headers["ce_type"], answered.headers["request-id"], answered.key) == (
        "dev.celeriac.result", "first", b"k",
    )  # fmt: skip
    ((_, dead),) = [each for each in post.sent if each[0] == "dead"]
    assert dead.value == b"bad"
    assert dead.headers["celeriac-error"] == "invalid_input"
    assert not teller.step(), "what was told is not told again"


def test_what_has_come_is_told_as_soon_as_it_is_done(
    receiver: Receiver, small_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "SLOW_S", 600)
    teller = Teller("s", receiver.rule, Post(), receiver.intake.database, small_registry, Counts())
    waiting = threading.Thread(target=teller.wait)
    waiting.start()

    teller.expect()

    waiting.join(60)
    assert not waiting.is_alive()


def test_what_cannot_be_told_now_is_told_later(
    receiver: Receiver, belt: Belt, small_registry: Registry
) -> None:
    belt.put(ROW, model="table")
    receiver.step()
    _answer(receiver, jobs(receiver)[0], 1)
    post = Post(is_away=True)
    teller = Teller("s", receiver.rule, post, receiver.intake.database, small_registry, Counts())
    teller._turn.is_mine()
    with pytest.raises(Unavailable):
        teller.step()
    (waiting,) = next_deliveries(receiver.intake.database, "s", limit=9)
    assert waiting.attempts == 1

    post.is_away = False

    assert teller.step()
    assert len(post.sent) == 1


def test_a_result_that_is_too_large_is_told_without_its_numbers(
    receiver: Receiver, belt: Belt, small_registry: Registry
) -> None:
    belt.put(ROW, model="table", id="large")
    receiver.step()
    _answer(receiver, jobs(receiver)[0], 1)
    post = Post()
    teller = Teller("s", receiver.rule, post, receiver.intake.database, small_registry, Counts())
    teller._turn.is_mine()
    post.most_bytes = len(teller._result(told(receiver)[0]).value) - 1

    assert teller.step()

    ((_, short),) = post.sent
    body = json.loads(short.value)
    assert (body["id"], body["label"], body["output"]) == ("large", "yes", None)


def _answer(receiver: Receiver, job: Job, count: int) -> None:
    """Have some of a job's items answered, as a worker does."""
    done = job.total - sum(item.state == "queued" for item in every_item(receiver.intake.database, job.id))
    held = claim(receiver.intake.database, job.id, done, done + count, lease_s=60, max_attempts=3)
    assert held is not None
    answers = [
        Success(index=each, label="yes", score=0.75, output=(0.25, 0.75), ms=1.5) for each in held.indexes
    ]
    finish(receiver.intake.database, held, answers)
