"""Streams through the whole service, which dies in the middle of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.celeriac import Celeriac, celeriac
from testing.kafka import QUICK, MockKafka
from testing.processes import wait_until
from testing.pubsub import PROJECT, FakePubSub

ROW = json.dumps({"inputs": [[6, 148, 72, 35, 0, 33.6, 0.627, 50]]}).encode()
COUNT = 3000


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    running = MockKafka()
    running.make_topics("in", "out", "dead")
    yield running
    running.close()


@pytest.fixture
def service(tmp_path: Path, kafka: MockKafka) -> Iterator[Celeriac]:
    properties = "\n".join(f"      {name}: {value}" for name, value in QUICK.items())
    (tmp_path / "streams.yaml").write_text(
        f"""
streams:
  patients:
    from: kafka://{kafka.address}/in
    models: diabetes
    results: out
    dead_letters: dead
    properties:
{properties}
"""
    )
    with celeriac(tmp_path, STREAMS_FILE=str(tmp_path / "streams.yaml"), CHUNK_ITEMS="64") as running:
        yield running


def test_each_message_has_one_item_and_a_result_though_the_service_is_killed_in_the_middle(
    service: Celeriac, kafka: MockKafka
) -> None:
    kafka.produce("in", *[ROW] * (COUNT // 2))
    kafka.produce("in", b"\x00nonsense", key=lambda _: "bad")
    wait_until(lambda: _finished(service) > 100, what="the first results")

    service.kill()
    kafka.produce("in", *[ROW] * (COUNT // 2), key=lambda number: str(COUNT // 2 + number))
    service.start()

    wait_until(lambda: _finished(service) == COUNT, what="all results")
    # Some come twice: those that were told by a process that died before it could note that.
    wanted = {str(number).encode() for number in range(COUNT)} | {b"bad"}
    kafka.consume("out", lambda found: {message.key() for message in found} == wanted)
    assert kafka.consume("dead", bool)[0].value() == b"\x00nonsense"
    with sqlite3.connect(service.directory / "state" / "celeriac.sqlite3") as database:
        assert database.execute("SELECT count(*), count(DISTINCT place) FROM arrival").fetchone() == (
            COUNT + 1,
            COUNT + 1,
        )
    (stream,) = service.web.get("/api/streams").json()["streams"]
    assert (stream["name"], stream["from"].endswith("/in"), stream["waiting"]) == ("patients", True, 0)
    assert stream["untold"] == 0


def _finished(service: Celeriac) -> int:
    jobs = service.web.get("/api/jobs?limit=1000").json()["jobs"]
    return sum(job["succeeded"] for job in jobs)


def test_of_pubsub_too_each_message_has_one_item_and_a_result(tmp_path: Path) -> None:
    count = 600
    pubsub = FakePubSub()
    pubsub.make("in", "in-here")
    pubsub.make("out", "out-here")
    pubsub.make("dead", "dead-here")
    (tmp_path / "streams.yaml").write_text(
        f"""
streams:
  patients:
    from: pubsub://{PROJECT}/in-here
    models: diabetes
    results: out
    dead_letters: dead
"""
    )
    settings = {
        "STREAMS_FILE": str(tmp_path / "streams.yaml"),
        "PUBSUB_EMULATOR_HOST": pubsub.address,
        "CHUNK_ITEMS": "32",
    }
    with celeriac(tmp_path, **settings) as service:
        for number in range(count // 2):
            pubsub.publish("in", ROW, id=str(number))
        pubsub.publish("in", b"\x00nonsense", id="bad")
        wait_until(lambda: _finished(service) > 50, what="the first results")
        service.kill()
        for number in range(count // 2, count):
            pubsub.publish("in", ROW, id=str(number))
        service.start()

        wait_until(lambda: _finished(service) == count, what="all results")
        wanted = {*map(str, range(count)), "bad"}
        pubsub.consume("out-here", lambda found: {each.attributes["request-id"] for each in found} == wanted)
        assert pubsub.consume("dead-here", bool)[0].data == b"\x00nonsense"
        (stream,) = service.web.get("/api/streams").json()["streams"]
        assert (stream["waiting"], [each["id"] for each in stream["refused"]]) == (0, ["bad"])
    pubsub.close()
