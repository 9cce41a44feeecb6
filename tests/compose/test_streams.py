"""Streams in containers: the service `stream` reads a topic, and tells results, with credentials from a file only."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from testing.compose_project import ComposeProject
from testing.docker import inspect
from tests.compose.conftest import wait_until_healthy

STREAMS = """
streams:
  patients:
    from: kafka://127.0.0.1:19092/in
    models: diabetes
    results: out
    properties: {client.id: $CLIENT_ID, fetch.wait.max.ms: 5}
"""
CREDENTIALS = "CLIENT_ID='in a file only'\n"
BROKER = """
import socket, threading
from confluent_kafka import Consumer, Producer

cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock"})
(broker,) = cluster.list_topics(timeout=10).brokers.values()
address = f"127.0.0.1:{broker.port}"


def forward():
    def copy(source, target):
        while data := source.recv(65536):
            target.sendall(data)
        target.close()

    with socket.create_server(("127.0.0.1", 19092)) as server:
        while True:
            near, far = server.accept()[0], socket.create_connection(("127.0.0.1", broker.port))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=copy, args=pair, daemon=True).start()


threading.Thread(target=forward, daemon=True).start()
producer = Producer({"bootstrap.servers": address})
producer.produce("in", b'{"id": "42", "inputs": [[6, 148, 72, 35, 0, 33.6, 0.627, 50]]}')
producer.flush(10)
consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "auto.offset.reset": "earliest"})
consumer.subscribe(["out"])
while True:
    message = consumer.poll(1)
    if message is not None and message.error() is None:
        print(message.value().decode())
        break
"""
"""librdkafka's cluster for tests, which listens on its own loopback only, at a port that others are told of: so it runs
beside the process that reads, behind a port that this one knows."""


@pytest.fixture(scope="module")
def streaming(shared_project: ComposeProject) -> Iterator[ComposeProject]:
    """The service that the tests share, with two processes that read streams."""
    checkout = shared_project.checkout
    file, credentials = (
        checkout.root / "docker" / "streams" / "ours.yaml",
        checkout.secrets / "stream_credentials",
    )
    before = credentials.read_text()
    file.write_text(STREAMS)
    credentials.write_text(CREDENTIALS)
    settings = {"COMPOSE_PROFILES": "streams", "STREAMS_FILE": "ours.yaml", "STREAMS": "2"}
    checkout.env |= settings
    checkout.compose("up", "--detach", "--wait", "--no-build", "--no-recreate", "stream")
    yield shared_project
    checkout.compose("rm", "--stop", "--force", "stream")
    for name in settings:
        del checkout.env[name]
    credentials.write_text(before)
    file.unlink()


def test_a_message_is_answered_on_the_topic_of_results(streaming: ComposeProject) -> None:
    wait_until_healthy(streaming, "stream")

    told = json.loads(streaming.compose("exec", "-T", "stream", "timeout", "100", "python", "-c", BROKER))

    assert (told["id"], told["stream"], told["state"], told["label"]) == (
        "42", "patients", "succeeded", "diabetes",
    )  # fmt: skip
    assert len(streaming.containers("stream")) == 2


def test_credentials_of_streams_are_in_a_file_of_that_service_only(streaming: ComposeProject) -> None:
    told = json.dumps(inspect(streaming.containers())) + streaming.compose("logs", "--no-color")

    assert "in a file only" not in told
    for service in ("web", "worker", "stream"):
        files = streaming.execute(streaming.containers(service)[0], "ls", "/run/secrets").stdout.split()
        assert ("stream_credentials" in files) is (service == "stream")


def test_streams_without_their_libraries_are_refused_before_anything_starts(
    shared_project: ComposeProject,
) -> None:
    done = shared_project.checkout.run(
        "tools/compose", "up", check=False, COMPOSE_PROFILES="streams", EXTRAS="gs"
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "needs EXTRAS=kafka" in done.stderr
