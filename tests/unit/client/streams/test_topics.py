"""The command topics. librdkafka's cluster for tests makes and deletes none: what brokers answer is held by codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError

from client.errors import ClientError, InputError, Refused, Unavailable
from client.streams.address import Broker
from client.streams.kafka.errors import Faults, translate
from testing.kafka import MockKafka
from testing.processes import free_ports

if TYPE_CHECKING:
    from tests.unit.client.conftest import Run

BROKER = Broker("kafka", "kafka.example.org:9093")


def test_topics_are_listed_with_their_partitions(run: Run, kafka: MockKafka) -> None:
    kafka.make_topics("patients")

    table = run("topics", "list", f"kafka://{kafka.address}")
    told = run("topics", "list", f"kafka://{kafka.address}", "--json")

    assert table.code == told.code == 0, told.stderr
    assert table.stdout.splitlines()[1].split() == ["patients", "4", "1"]
    assert json.loads(told.stdout)["topics"][0]["name"] == "patients"


def test_a_broker_that_is_not_there_is_one_line(run: Run) -> None:
    (port,) = free_ports(1)

    done = run("topics", "create", f"kafka://127.0.0.1:{port}", "patients")

    assert (done.code, len(done.errors)) == (4, 1)
    assert f"nothing answers at kafka://127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "kafka://h:1/patients", "answers"], "expected no topic behind it"),
        (["create", "kafka://h:1", "two words"], "two words: expected letters"),
        (["create", "pubsub://project", "ab"], "ab: expected 3 to 255 letters"),
        (["create", "patients", "answers"], "expected kafka://HOST:PORT"),
        (["list", "pubsub://project", "--options", "linger.ms=1"], "--options are librdkafka's"),
    ],
)
def test_what_cannot_be_used_is_one_line(run: Run, arguments: list[str], said: str) -> None:
    done = run("topics", *arguments)

    assert (done.code, len(done.errors)) == (2, 1)
    assert said in done.stderr


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (KafkaError._AUTHENTICATION, Refused, "does not take these credentials"),
        (KafkaError.SASL_AUTHENTICATION_FAILED, Refused, "does not take these credentials"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Refused, "these credentials may not do that with patients"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, Refused, "topics create kafka://kafka.example.org:9093 patients"),
        (KafkaError._SSL, Unavailable, "TLS fails"),
        (KafkaError._RESOLVE, Unavailable, "there is no such host"),
        (KafkaError._TRANSPORT, Unavailable, "nothing answers at"),
        (KafkaError._INVALID_ARG, InputError, "--options"),
        (KafkaError.POLICY_VIOLATION, Refused, "kafka.example.org:9093: too many\tpartitions".replace("\t", " ")),
    ],
)  # fmt: skip
def test_what_a_broker_says_is_one_line(code: int, kind: type[ClientError], said: str) -> None:
    error = translate(KafkaError(code, "too many\npartitions"), BROKER, what="patients")

    assert isinstance(error, kind)
    assert said in str(error) and "\n" not in str(error)


def test_of_several_faults_the_one_that_caused_the_others_is_told() -> None:
    faults = Faults(BROKER)
    faults.note(KafkaError(KafkaError._SSL, "certificate verify failed"))
    faults.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))

    told = faults.raised(KafkaError(KafkaError._TRANSPORT))

    assert faults.is_final and "certificate verify failed" in str(told)
