"""What confluent-kafka does for a stream, at librdkafka's own cluster for tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from production_server.errors import Unavailable
from production_server.sources.streams.kafka import KafkaSink, KafkaSource
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
    fast = {name: str(value) for name, value in QUICK.items()} | {"session.timeout.ms": "6000"}
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
