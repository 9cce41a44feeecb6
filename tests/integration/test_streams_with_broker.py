"""Streams over RabbitMQ and PostgreSQL, read by processes that come, go and are killed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from testing.celeriac import Celeriac, celeriac
from testing.kafka import QUICK, MockKafka
from testing.postgres import PostgresCluster, new_database
from testing.processes import wait_until
from testing.rabbitmq import RabbitMQNode, new_vhost

ROW = json.dumps({"inputs": [[1, 1]]}).encode()
COUNT = 20_000
PARTITIONS = 4
LONG_S = 120


@pytest.fixture(scope="module")
def kafka() -> Iterator[MockKafka]:
    running = MockKafka()
    yield running
    running.close()


@pytest.fixture(scope="module")
def shared(
    kafka: MockKafka,
    rabbitmq: RabbitMQNode,
    postgres: PostgresCluster,
    model_store: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Celeriac]:
    """Boots once; each test has a stream of its own in it."""
    folder = tmp_path_factory.mktemp("service")
    properties = "".join(f"\n      {name}: {value}" for name, value in QUICK.items())
    streams = "".join(
        f"""
  {name}:
    from: kafka://{kafka.address}/{name}
    group: {name}
    models: table
    results: {name}-out
    properties:{properties}"""
        for name in ("killed", "away")
    )
    (folder / "streams.yaml").write_text(f"streams:{streams}\n")
    with new_vhost(rabbitmq) as vhost, new_database(postgres) as url:
        settings = {
            "MODEL_STORE": model_store,
            "BROKER_URL": rabbitmq.url(vhost),
            "DATABASE_URL": url,
            "STREAMS_FILE": str(folder / "streams.yaml"),
        }
        kafka.make_topics("killed", "killed-out", "away", "away-out")
        with celeriac(folder, **settings) as running:
            yield running


@pytest.fixture
def service(shared: Celeriac, rabbitmq: RabbitMQNode, postgres: PostgresCluster) -> Iterator[Celeriac]:
    yield shared
    rabbitmq.start()
    postgres.start()


def readers(service: Celeriac, stream: str) -> list[dict[str, Any]]:
    """The processes that read a stream, as the service tells."""
    streams = service.web.get("/api/streams").raise_for_status().json()["streams"]
    return [member for each in streams if each["name"] == stream for member in each["members"]]


def shares(service: Celeriac, stream: str) -> list[int]:
    return sorted(len(each["lag"]) for each in readers(service, stream))


def taken(service: Celeriac, stream: str) -> tuple[int, int, int]:
    """How many messages of a stream have been taken, how many items they have become, and how many have a result."""
    counted = """
        SELECT (SELECT count(DISTINCT place) FROM arrival WHERE stream = %(stream)s),
               count(*), count(*) FILTER (WHERE item.state = 'succeeded')
        FROM item JOIN job ON job.id = item.job_id WHERE job.stream = %(stream)s"""
    with psycopg.connect(service.settings["DATABASE_URL"]) as connection:
        found = connection.execute(counted, {"stream": stream}).fetchone()
    assert found is not None
    return found[0], found[1], found[2]


def test_five_share_a_topic_and_two_of_them_are_killed_in_the_middle_of_it(
    service: Celeriac, kafka: MockKafka
) -> None:
    wait_until(lambda: shares(service, "killed") == [4], what="one reads all", timeout_s=LONG_S)
    second, third = service.also("stream"), service.also("stream")
    wait_until(lambda: shares(service, "killed") == [1, 1, 2], what="three share it", timeout_s=LONG_S)
    service.also("stream"), service.also("stream")
    wait_until(lambda: shares(service, "killed") == [0, 1, 1, 1, 1], what="five do", timeout_s=LONG_S)

    kafka.produce("killed", *[ROW] * (COUNT // 2))
    wait_until(lambda: taken(service, "killed")[2] > 100, what="the first results", timeout_s=LONG_S)
    os.kill(second.pid, signal.SIGKILL)
    kafka.produce("killed", *[ROW] * (COUNT // 2), key=lambda number: str(COUNT // 2 + number))
    os.kill(third.pid, signal.SIGKILL)

    all_once = (COUNT, COUNT, COUNT)
    wait_until(lambda: taken(service, "killed") == all_once, what="each has a result", timeout_s=LONG_S)
    wanted = {str(number).encode() for number in range(COUNT)}
    kafka.consume("killed-out", lambda found: {message.key() for message in found} == wanted)


@pytest.mark.parametrize("what", ["the streams' broker", "the database", "RabbitMQ"])
def test_what_is_away_is_waited_for_and_nothing_is_lost(
    service: Celeriac, kafka: MockKafka, postgres: PostgresCluster, rabbitmq: RabbitMQNode, what: str
) -> None:
    def send(count: int, when: str) -> set[bytes]:
        kafka.produce("away", *[ROW] * count, key=lambda number: f"{what} {when} {number}")
        return {f"{what} {when} {number}".encode() for number in range(count)}

    def told(keys: set[bytes]) -> None:
        kafka.consume(
            "away-out", lambda found: {message.key() for message in found} >= keys, timeout_s=LONG_S
        )

    before = send(200, "before")
    told(before)
    late = send(1000, "late")
    if what == "the streams' broker":
        with kafka.away():
            time.sleep(3.0)  # So that it is missed: whoever reads asks again within a second.
    elif what == "the database":
        postgres.kill()
        meanwhile = send(500, "meanwhile")
        time.sleep(3.0)
        postgres.start()
        late |= meanwhile
    else:
        rabbitmq.kill()
        late |= send(500, "meanwhile")
        time.sleep(3.0)
        rabbitmq.start()

    told(late | send(200, "after"))

    assert len(set(taken(service, "away"))) == 1, "each message has one item, and that a result"
