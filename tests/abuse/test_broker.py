"""A broker that is short of memory or disk, or says nothing, and messages that nobody of ours has sent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from amqp import Channel
from amqp import Connection as AmqpConnection
from amqp.basic_message import Message

from production_server.broker.frames import GREETING, Kind, frame
from production_server.broker.messages import DEAD_LETTERS, HIGH_QUEUE, NORMAL_QUEUE, RUN_CHUNK
from testing.celeriac import Celeriac
from testing.neighbours import MODEL, ROW, Seen
from testing.processes import wait_until
from testing.rabbitmq import RabbitMQNode

Watch = Callable[[], AbstractContextManager[Seen]]

CHUNK = {"job_id": "0b1f9b1e-98a5-4c3e-9b4e-0a5a3c0d7f11", "start": 0, "stop": 1}
TASK = {"task": RUN_CHUNK, "id": "1", "lang": "py"}


def v2(kwargs: object = CHUNK, args: object = (), embedded: object = None) -> bytes:
    return json.dumps([args, kwargs, embedded or {}]).encode()


# Headers, content type and body of messages that are no chunks.
STRANGE: list[tuple[dict[str, Any], str, bytes]] = [
    ({}, "application/json", b"[]"),
    ({}, "application/json", b"{}"),
    ({}, "application/json", b'{"task": "celeriac.run_chunk"}'),
    ({}, "application/json", b"\xff"),
    ({}, "text/plain", b"hello"),
    ({}, "", b""),
    (TASK, "application/json", b"[]"),
    (TASK, "application/json", b"null"),
    (TASK, "application/json", b"[[], {}]"),
    (TASK, "application/json", b'[1, 2, "3"]'),
    (TASK, "application/json", b"[" * 5000),
    (TASK, "application/json", b'"' + b"x" * 1_000_000 + b'"'),
    (TASK, "application/x-python-serialize", b"\x80\x04."),
    (TASK, "application/json", v2({})),
    (TASK, "application/json", v2(CHUNK | {"stop": True})),
    (TASK, "application/json", v2(CHUNK | {"stop": 10**30})),
    (TASK, "application/json", v2(CHUNK | {"start": -1})),
    (TASK, "application/json", v2(CHUNK | {"job_id": "x"})),
    (TASK, "application/json", v2(args=[1])),
    (TASK, "application/json", v2(embedded={"callbacks": [{"task": RUN_CHUNK}]})),
    ({"task": RUN_CHUNK}, "application/json", v2()),
    (TASK | {"id": 5}, "application/json", v2()),
    (TASK | {"eta": "2999-01-01T00:00:00"}, "application/json", v2()),
    (TASK | {"eta": "soon"}, "application/json", v2()),
    (TASK | {"expires": "never"}, "application/json", v2()),
    (TASK | {"compression": "application/x-gzip"}, "application/json", v2()),
    (TASK | {"task": "os.system"}, "application/json", v2()),
    (TASK | {"task": ["celery.chord"]}, "application/json", v2()),
]


@pytest.fixture(scope="module", params=["rabbitmq-postgres"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def channel(service: Celeriac) -> Iterator[Channel]:
    """To whoever may use the service's broker."""
    url = httpx.URL(service.settings["BROKER_URL"])
    with AmqpConnection(
        f"{url.host}:{url.port}", url.username, url.password, virtual_host=url.path.strip("/")
    ) as connection:
        yield connection.channel()


@contextlib.contextmanager
def out_of(rabbitmq: RabbitMQNode, resource: str) -> Iterator[None]:
    """While the node has its alarm for that: it takes no messages, and delivers those that it has."""
    limit, none_left = {
        "memory": ("vm_memory_monitor:{}_vm_memory_high_watermark", "{absolute, 1000000}"),
        "disk": ("rabbit_disk_monitor:{}_disk_free_limit", "1000000000000000"),
    }[resource]
    change = limit.format("set")
    before = rabbitmq.evaluate(f"{limit.format('get')}()")
    rabbitmq.evaluate(f"{change}({none_left})")
    try:
        wait_until(
            lambda: resource in rabbitmq.evaluate("rabbit_alarm:get_alarms()"), what="there is an alarm"
        )
        yield
    finally:
        rabbitmq.evaluate(f"{change}({before})")


@contextlib.contextmanager
def silent(rabbitmq: RabbitMQNode) -> Iterator[None]:
    """While the node neither lives nor dies."""
    assert rabbitmq.pid is not None
    os.kill(rabbitmq.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(rabbitmq.pid, signal.SIGCONT)


@pytest.mark.parametrize("queue", [NORMAL_QUEUE, HIGH_QUEUE])
def test_messages_that_are_no_chunks(
    service: Celeriac, channel: Channel, neighbours: Watch, queue: str
) -> None:
    workers = service.children("worker")
    before = waiting_in(DEAD_LETTERS, channel)
    with neighbours():
        for headers, content_type, body in STRANGE:
            message = Message(body, content_type=content_type, application_headers=headers)
            channel.basic_publish(message, routing_key=queue)
        wait_until(lambda: waiting_in(DEAD_LETTERS, channel) == before + len(STRANGE), what="all are refused")
        time.sleep(1)

    assert service.children("worker") == workers
    assert "Traceback" not in service.log


def test_calls_that_are_none(service: Celeriac, neighbours: Watch) -> None:
    workers = service.children("worker")
    hello = b"".join(frame(Kind.HELLO, body=GREETING))
    sockets = list((service.directory / "state" / "calls").iterdir())
    assert sockets

    def say(path: Path, body: bytes) -> None:
        assert said_to(path, body or b"x" * 100) == b"", "who does not greet is left"
        answered = said_to(path, hello + b"".join(frame(Kind.NUMBERS, 1, body)))
        assert answered.startswith(hello), "what is no call gets an error"

    with neighbours():
        # Who says little is waited for.
        with ThreadPoolExecutor(len(STRANGE)) as strangers:
            said = [strangers.submit(say, path, body) for path, (_, _, body) in product(sockets, STRANGE)]
        for each in said:
            each.result()
        time.sleep(1)

    assert service.children("worker") == workers


@pytest.mark.parametrize("resource", ["memory", "disk"])
def test_a_broker_that_is_out_of(
    service: Celeriac, rabbitmq: RabbitMQNode, neighbours: Watch, resource: str
) -> None:
    with neighbours(), out_of(rabbitmq, resource):
        wait_until(lambda: "short of memory or disk" in not_ready(service), what="it is told")
        for _ in range(5):
            began = time.monotonic()
            job = service.submit(MODEL, [ROW] * 40)
            assert time.monotonic() - began < 10
        time.sleep(3)

    assert service.wait_for(job)["succeeded"] == 40
    wait_until(service.is_ready, what="it is ready again")


def test_a_broker_that_says_nothing(service: Celeriac, rabbitmq: RabbitMQNode, neighbours: Watch) -> None:
    with neighbours():
        with silent(rabbitmq):
            wait_until(lambda: "the broker does not answer" in not_ready(service), what="it is told")
            jobs = [service.submit(MODEL, [ROW] * 40) for _ in range(20)]
            time.sleep(3)
        wait_until(service.is_ready, what="it is ready again")

    assert [service.wait_for(job)["succeeded"] for job in jobs] == [40] * 20


def said_to(path: Path, what: bytes) -> bytes:
    """What a worker answers within a moment."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(6)
        connection.connect(str(path))
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(what)
            return connection.recv(2**16)
    return b""


def waiting_in(queue: str, channel: Channel) -> int:
    declared: Any = channel.queue_declare(queue, passive=True)
    return int(declared.message_count)


def not_ready(service: Celeriac) -> str:
    """What /readyz says of the broker, where it is not ready."""
    answer = service.web.get("/readyz")
    return "" if answer.status_code == 200 else str(answer.json()["checks"]["broker"]["detail"])
