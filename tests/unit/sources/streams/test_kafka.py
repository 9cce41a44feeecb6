"""What confluent-kafka does for a stream, at librdkafka's own cluster for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from production_server.errors import Unavailable
from production_server.sources.streams.kafka import KafkaSink, KafkaSource, refused_properties
from production_server.sources.streams.message import Message, Outgoing
from production_server.sources.streams.rules import StreamRule
from testing.kafka import QUICK, MockKafka
from testing.processes import wait_until


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    running = MockKafka()
    yield running
    running.close()


def rule(address: str, **properties: str) -> StreamRule:
    fast = {name: str(value) for name, value in QUICK.items()}
    return StreamRule.model_validate(
        {"from": f"kafka://{address}/in", "models": "table", "properties": fast | properties}
    )


def taken(source: KafkaSource, count: int) -> list[Message]:
    found: list[Message] = []

    def has_all() -> bool:
        found.extend(source.take(most=100, wait_s=0.2))
        return len(found) >= count

    wait_until(has_all, what=f"{count} messages")
    return found


def test_messages_come_with_their_keys_headers_and_places(kafka: MockKafka) -> None:
    kafka.produce("in", b"one", b"two", CE_id="7")
    source = KafkaSource(rule(kafka.address))

    found = sorted(taken(source, 2), key=lambda message: message.value)

    assert [(each.value, each.key, each.headers) for each in found] == [
        (b"one", b"0", {"ce_id": "7"}),
        (b"two", b"1", {"ce_id": "7"}),
    ]
    assert all(each.place.startswith("in/") and each.sent_at > 1.7e9 for each in found)
    assert set(source.state().lag.values()) <= {0, None}
    source.close()


def test_what_was_confirmed_does_not_come_again_and_what_was_not_does(kafka: MockKafka) -> None:
    kafka.produce("in", *[b"%d" % n for n in range(20)], key=lambda _: "same")
    source = KafkaSource(rule(kafka.address))
    found = taken(source, 20)
    source.confirm(found[:12])
    source.close()

    again = KafkaSource(rule(kafka.address))

    assert [each.value for each in taken(again, 8)] == [b"%d" % n for n in range(12, 20)]
    again.close()


def test_nothing_comes_while_it_is_paused(kafka: MockKafka) -> None:
    kafka.produce("in", b"one")
    source = KafkaSource(rule(kafka.address))
    taken(source, 1)
    source.set_paused(paused=True)
    kafka.produce("in", b"two")

    assert [source.take(most=10, wait_s=0.1) for _ in range(5)] == [[]] * 5

    source.set_paused(paused=False)
    assert [each.value for each in taken(source, 1)] == [b"two"]
    source.close()


def test_two_share_the_partitions_and_who_leaves_leaves_them_to_the_other(kafka: MockKafka) -> None:
    kafka.produce("in", b"one")
    one, two = KafkaSource(rule(kafka.address)), KafkaSource(rule(kafka.address))

    def shares() -> bool:
        for source in (one, two):
            source.confirm(source.take(most=10, wait_s=0.1))
        return len(one.state().lag) == len(two.state().lag) == 2

    wait_until(shares, what="two partitions each")
    two.close()

    def has_all() -> bool:
        one.take(most=10, wait_s=0.1)
        return len(one.state().lag) == 4

    wait_until(has_all, what="all partitions")
    one.close()


def test_results_arrive_in_order_with_their_headers(kafka: MockKafka) -> None:
    sink = KafkaSink(rule(kafka.address))
    outgoing = [Outgoing(value=b"%d" % n, key=b"k", headers={"ce_id": str(n)}) for n in range(50)]

    assert sink.send("out", outgoing) == [True] * 50

    found = kafka.consume("out", lambda found: len(found) == 50)
    assert [each.value() for each in found] == [b"%d" % n for n in range(50)]
    assert found[3].headers() == [("ce_id", b"3")]
    sink.close()


def test_what_is_too_large_is_told_apart_from_what_cannot_be_sent_now(kafka: MockKafka) -> None:
    sink = KafkaSink(rule(kafka.address))
    small = Outgoing(value=b"small", key=None, headers={})
    large = Outgoing(value=b"x" * 2_000_000, key=None, headers={})

    assert sink.send("out", [small, large, small]) == [True, False, True]
    sink.close()


def test_a_broker_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("production_server.sources.streams.kafka.SEND_S", 1.0)
    sink = KafkaSink(rule("127.0.0.1:9"))

    with pytest.raises(Unavailable, match="does not take results") as refused:
        sink.send("out", [Outgoing(value=b"x", key=None, headers={})])

    assert refused.value.place == "127.0.0.1:9"


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}, "SASL"),
        ({}, "Connection refused"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_however_often_it_is_tried(
    kafka: MockKafka, caplog: pytest.LogCaptureFixture, properties: dict[str, str], said: str
) -> None:
    often = {
        "reconnect.backoff.ms": "10",
        "reconnect.backoff.max.ms": "50",
        "sasl.username": "ada",
        "sasl.password": "wrong-one",
    }
    with contextlib.nullcontext() if properties else kafka.away():
        source = KafkaSource(rule(kafka.address, **often, **properties))
        for _ in range(10):
            assert source.take(most=10, wait_s=0.1) == []
        fault = source.state().fault

    assert said in fault and "wrong-one" not in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    source.close()


def test_a_fault_that_is_over_is_not_told_any_more(kafka: MockKafka) -> None:
    source = KafkaSource(rule(kafka.address))
    with kafka.away():
        wait_until(lambda: not source.take(most=1, wait_s=0.1) and bool(source.state().fault), what="a fault")

    kafka.produce("in", b"one")
    taken(source, 1)

    assert source.state().fault == ""
    source.close()


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({}, None),
        ({"group.protocol": "consumer"}, "session.timeout.ms"),
        ({"nonsense": "1"}, 'No such configuration property: "nonsense"'),
        ({"security.protocol": "telnet"}, '"telnet"'),
        ({"retry.backoff.ms": "soon"}, "retry.backoff.ms"),
        ({"ssl.ca.location": "/no/such/file", "security.protocol": "SSL"}, "ssl.ca.location"),
    ],
)
def test_properties_that_librdkafka_refuses_are_told_before_anything_is_read(
    properties: dict[str, str], said: str | None
) -> None:
    refused = refused_properties(rule("127.0.0.1:9", **properties))

    assert refused is None if said is None else said in (refused or "")


def test_who_stores_for_longer_than_the_group_waits_goes_on_afterwards(kafka: MockKafka) -> None:
    slow = KafkaSource(rule(kafka.address, **{"max.poll.interval.ms": "2000"}))
    kafka.produce("in", *[b"%d" % n for n in range(20)])
    hand = taken(slow, 20)
    other = KafkaSource(rule(kafka.address))

    # The group gives up on whoever does not poll; what was in hand comes again, to the other one.
    again = taken(other, 20)
    slow.confirm(hand)
    kafka.produce("in", *[b"%d" % n for n in range(20, 40)])
    late: set[bytes] = set()

    def has_all() -> bool:
        for source in (slow, other):
            found = source.take(most=100, wait_s=0.1)
            source.confirm(found)
            late.update(message.value for message in found)
        both = len(slow.state().lag) == len(other.state().lag) == 2
        return both and late >= {b"%d" % n for n in range(20, 40)}

    assert {message.place for message in again} == {message.place for message in hand}
    wait_until(has_all, what="the slow one is in the group again, and nothing is missing")
    slow.close()
    other.close()


def test_groups_that_the_broker_rules_are_there_by_a_property(kafka: MockKafka) -> None:
    written = {
        "from": f"kafka://{kafka.address}/in",
        "models": "table",
        "properties": {"group.protocol": "consumer", "fetch.wait.max.ms": "5"},
    }
    kafka.produce("in", *[b"%d" % n for n in range(20)])
    one = KafkaSource(StreamRule.model_validate(written))
    one.confirm(taken(one, 20))
    one.close()
    kafka.produce("in", b"20")

    two = KafkaSource(StreamRule.model_validate(written))

    assert [message.value for message in taken(two, 1)] == [b"20"]
    two.close()
