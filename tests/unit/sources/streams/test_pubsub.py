"""What google-cloud-pubsub does for a stream, at a server of the tests' own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from production_server.errors import Unavailable
from production_server.sources.streams import pubsub as adapter
from production_server.sources.streams.message import Message, Outgoing
from production_server.sources.streams.pubsub import PubSubSink, PubSubSource
from production_server.sources.streams.rules import StreamRule
from testing.processes import wait_until
from testing.pubsub import PROJECT, FakePubSub

RULE = StreamRule.model_validate({"from": f"pubsub://{PROJECT}/in-here", "models": "table", "results": "out"})


@pytest.fixture
def pubsub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePubSub]:
    running = FakePubSub()
    running.make("in", "in-here", deadline_s=2)
    running.make("out", "out-here")
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", running.address)
    monkeypatch.setattr(adapter, "ASK_AGAIN_S", 0.2)
    yield running
    running.close()


@pytest.fixture
def source(pubsub: FakePubSub) -> Iterator[PubSubSource]:
    source = PubSubSource(RULE)
    yield source
    source.close()


def taken(source: PubSubSource, count: int) -> list[Message]:
    found: list[Message] = []

    def has_all() -> bool:
        try:
            found.extend(source.take(most=100, wait_s=0.1))
        except Unavailable:
            return False
        return len(found) >= count

    wait_until(has_all, what=f"{count} messages")
    return found


def test_messages_come_with_their_keys_attributes_and_places(
    pubsub: FakePubSub, source: PubSubSource
) -> None:
    (number,) = pubsub.publish("in", b"one", key="k", **{"ce-id": "7", "Model": "table"})

    (found,) = taken(source, 1)

    assert (found.value, found.key, found.headers) == (b"one", b"k", {"ce-id": "7", "model": "table"})
    assert found.place == f"in-here/{number}" and found.sent_at > 1.7e9


def test_what_was_confirmed_does_not_come_again_and_what_was_not_does(
    pubsub: FakePubSub, source: PubSubSource
) -> None:
    pubsub.publish("in", *[b"%d" % n for n in range(20)])
    found = taken(source, 20)
    source.confirm(found[:12])
    wait_until(lambda: pubsub.waiting("in-here") == (0, 8), what="12 are acknowledged")
    source.close()

    again = PubSubSource(RULE)

    assert {each.value for each in taken(again, 8)} == {each.value for each in found[12:]}
    again.close()


def test_while_it_is_paused_nothing_comes_and_what_was_fetched_goes_back(
    pubsub: FakePubSub, source: PubSubSource
) -> None:
    pubsub.publish("in", b"one")
    source.confirm(taken(source, 1))
    source.set_paused(paused=True)
    pubsub.publish("in", b"two", b"three")

    assert [source.take(most=10, wait_s=0.1) for _ in range(5)] == [[]] * 5
    assert pubsub.waiting("in-here") == (2, 0)

    source.set_paused(paused=False)
    assert {each.value for each in taken(source, 2)} == {b"two", b"three"}


def test_a_subscription_that_is_not_there_is_named_and_asked_for_again(pubsub: FakePubSub) -> None:
    source = PubSubSource(StreamRule.model_validate({"from": f"pubsub://{PROJECT}/later", "models": "table"}))

    def is_said() -> bool:
        with contextlib.suppress(Unavailable):
            source.take(most=1, wait_s=0.05)
        return f"projects/{PROJECT}/subscriptions/later" in source.state().fault

    wait_until(is_said, what="the subscription is named")
    pubsub.make("more", "later")
    pubsub.publish("more", b"one")
    assert [each.value for each in taken(source, 1)] == [b"one"]
    assert source.state().fault == ""
    source.close()


def test_an_outage_is_said_and_over_when_it_is_over(
    pubsub: FakePubSub, source: PubSubSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "SEND_S", 0.5)
    pubsub.publish("in", b"one")
    source.confirm(taken(source, 1))
    sink = PubSubSink(RULE)
    waiting = [Outgoing(value=b"%d" % n, key=b"k", headers={}) for n in range(3)]
    with pubsub.away():
        for _ in range(3):
            with pytest.raises(Unavailable, match="does not take results"):
                sink.send("out", waiting)
    pubsub.publish("in", b"two")
    monkeypatch.setattr(adapter, "SEND_S", 30)

    assert [each.value for each in taken(source, 1)] == [b"two"]
    assert sink.send("out", waiting) == [True] * 3
    # Once when the library gets through at last, and once more as it was asked for last.
    assert [each.data for each in pubsub.consume("out-here", lambda found: len(found) == 6)] == [
        b"0",
        b"1",
        b"2",
    ] * 2
    sink.close()


def test_results_arrive_with_their_keys_and_attributes(pubsub: FakePubSub) -> None:
    sink = PubSubSink(RULE)
    long = "é" * 1000

    assert sink.send("out", [Outgoing(value=b"%d" % n, key=b"k", headers={"ce_id": long}) for n in range(50)])

    found = pubsub.consume("out-here", lambda found: len(found) == 50)
    assert [each.data for each in found] == [b"%d" % n for n in range(50)]
    assert found[0].ordering_key == "k" and found[0].attributes["ce-id"] == "é" * 512
    sink.close()


def test_what_is_too_large_is_told_apart(pubsub: FakePubSub) -> None:
    sink = PubSubSink(RULE)
    small = Outgoing(value=b"small", key=None, headers={})
    large = Outgoing(value=b"x" * 2_000_000, key=None, headers={})

    assert sink.send("out", [small, large, small]) == [True, False, True]
    sink.close()


def test_a_topic_that_is_not_there_is_named(pubsub: FakePubSub) -> None:
    sink = PubSubSink(RULE)

    with pytest.raises(Unavailable, match=f"projects/{PROJECT}/topics/nowhere"):
        sink.send("nowhere", [Outgoing(value=b"x", key=None, headers={})])

    sink.close()
