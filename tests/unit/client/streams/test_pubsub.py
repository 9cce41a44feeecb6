"""The commands about streams with Google's library, against a Pub/Sub in this process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import grpc
import pytest

from client.streams import opening
from client.streams.address import Place
from client.streams.messages import Outgoing
from testing.environment import variables
from testing.pubsub import PROJECT as NAME
from testing.pubsub import FakePubSub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.client.conftest import Run

PROJECT = f"pubsub://{NAME}"


@pytest.fixture
def pubsub() -> Iterator[FakePubSub]:
    running = FakePubSub()
    with variables({"PUBSUB_EMULATOR_HOST": running.address}):
        yield running
    running.close()


def test_what_is_produced_to_a_topic_is_consumed_from_its_subscription(
    run: Run, pubsub: FakePubSub, images: Path
) -> None:
    made = run("topics", "create", PROJECT, "images")
    sent = run("produce", f"{PROJECT}/images", images, "--model", "fashion_mnist", "--json")
    came = run("consume", f"{PROJECT}/images", "--count", "2", "--timeout", "20", "--json")

    assert made.stdout == "images: created, with the subscription images\n"
    assert sent.code == came.code == 0, sent.stderr + came.stderr
    told, found = ([json.loads(line) for line in each.stdout.splitlines()] for each in (sent, came))
    assert sorted(each["id"] for each in told) == sorted(each["headers"]["id"] for each in found)
    assert {each["headers"]["model"] for each in found} == {"fashion_mnist"}
    assert sorted(each["place"] for each in told) == sorted(each["place"] for each in found)
    # What was shown is acknowledged: it does not come again.
    assert pubsub.waiting("images") == (0, 0)


def test_topics_are_made_once_listed_and_deleted(run: Run, pubsub: FakePubSub) -> None:
    first = run("topics", "create", PROJECT, "patients", "answers")
    again = run("topics", "create", PROJECT, "patients", "--json")
    listed = run("topics", "list", PROJECT)
    gone = run("topics", "delete", PROJECT, "patients", "nothing", "--yes")

    assert first.code == 0
    assert json.loads(again.stdout)["topics"][0]["created"] is False
    assert [line.split() for line in listed.stdout.splitlines()[1:]] == [["answers"] * 2, ["patients"] * 2]
    assert gone.stdout == "patients: deleted\nnothing: there is none: nothing is changed\n"
    assert "answers" in run("topics", "list", PROJECT).stdout


def test_what_is_not_there_is_one_line_and_says_how_to_make_it(run: Run, pubsub: FakePubSub) -> None:
    sent = run("produce", f"{PROJECT}/nosuch", "1", "--quiet")
    came = run("consume", f"{PROJECT}/nosuch", "--quiet", "--timeout", "5")

    assert sent.code == came.code == 3
    assert "topics create pubsub://lab" in sent.errors[-1]
    assert (len(came.errors), "there is no subscription nosuch" in came.stderr) == (1, True)


def test_partitions_are_refused(run: Run, pubsub: FakePubSub) -> None:
    done = run("topics", "create", PROJECT, "patients", "--partitions", "4")

    assert (done.code, len(done.errors)) == (2, 1)
    assert "patients" not in run("topics", "list", PROJECT).stdout


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, 3, "these credentials may not do that with subscription answers"),
        (grpc.StatusCode.UNAUTHENTICATED, 3, "these credentials may not do that"),
        (grpc.StatusCode.UNAVAILABLE, 4, "nothing answers in time"),
    ],
)
def test_what_google_says_is_one_line(
    run: Run, pubsub: FakePubSub, status: grpc.StatusCode, code: int, said: str
) -> None:
    pubsub.refuses = status

    done = run("consume", f"{PROJECT}/answers", "--quiet")

    assert (done.code, len(done.errors)) == (code, 1)
    assert said in done.stderr


def test_an_outage_is_waited_for_once_messages_can_come(pubsub: FakePubSub) -> None:
    place = Place.read(f"{PROJECT}/answers")
    pubsub.make("answers", "answers")
    with (
        opening.reader(place, {}, group=None, from_beginning=False) as reader,
        opening.writer(place, {}, lambda *_: None) as writer,
    ):
        for name in ("before", "after"):
            writer.send(Outgoing(id=name, name=name, value=b"{}", headers={"id": name}))
            writer.finish(10)
            (came,) = reader.take(most=10, wait_s=5)
            pubsub.refuses = grpc.StatusCode.UNAVAILABLE
            assert reader.take(most=10, wait_s=0) == []
            assert "nothing answers in time" in reader.fault
            pubsub.refuses = None
            reader.confirm([came])

            assert came.headers["id"] == name

    assert pubsub.waiting("answers") == (0, 0)


def test_without_credentials_it_is_said_where_they_come_from(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))

    done = run("produce", f"{PROJECT}/patients", "1")

    assert (done.code, len(done.errors)) == (2, 1)
    assert "PUBSUB_EMULATOR_HOST" in done.stderr
