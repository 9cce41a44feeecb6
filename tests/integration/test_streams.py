"""Streams through the whole service, which dies in the middle of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.celeriac import Celeriac, celeriac
from testing.kafka import QUICK, MockKafka
from testing.pictures import png
from testing.processes import wait_until
from testing.pubsub import PROJECT, FakePubSub

ROW = json.dumps({"inputs": [[6, 148, 72, 35, 0, 33.6, 0.627, 50]]}).encode()
COUNT = 3000


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    running = MockKafka()
    running.make_topics("in", "out", "dead", "urls", "seen")
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
  photos:
    from: kafka://{kafka.address}/urls
    models: fashion_mnist
    results: seen
    properties:
{properties}
"""
    )
    settings = {
        "STREAMS_FILE": str(tmp_path / "streams.yaml"),
        "CHUNK_ITEMS": "64",
        "STORAGE_ALLOW": f"file://{tmp_path}/bucket",
    }
    with celeriac(tmp_path, **settings) as running:
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
    stream, _ = service.web.get("/api/streams").json()["streams"]
    assert (stream["name"], stream["from"].endswith("/in"), stream["waiting"]) == ("patients", True, 0)
    assert stream["untold"] == 0


def _finished(service: Celeriac) -> int:
    jobs = service.web.get("/api/jobs?limit=1000").json()["jobs"]
    return sum(job["succeeded"] for job in jobs)


def test_images_that_messages_name_are_fetched_by_workers(service: Celeriac, kafka: MockKafka) -> None:
    bucket = service.directory / "bucket"
    bucket.mkdir()
    (bucket / "one.png").write_bytes(png(1))
    urls = [f"file://{bucket}/{name}.png" for name in ("one", "one", "none")]

    kafka.produce("urls", *[json.dumps({"url": url}).encode() for url in urls])

    found = kafka.consume("seen", lambda found: len(found) == 3)
    told = {message.key(): json.loads(message.value() or b"") for message in found}
    assert [told[key]["state"] for key in (b"0", b"1", b"2")] == ["succeeded", "succeeded", "failed"]
    assert told[b"0"]["top"] == told[b"1"]["top"] and told[b"0"]["name"] == "one.png"
    assert told[b"2"]["error"]["code"] == "object_missing"


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
