from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from production_server.broker.grouping import FORGET_S, Batch, Call, Grouping
from production_server.errors import TooLarge, Unavailable


def call(
    items: int = 1, *, model: str = "m", version: str = "1", deadline: float = 100, width: int = 2
) -> Call:
    return Call(
        model, version, {"x": np.zeros((items, width), np.float32)}, deadline, done=lambda _answer: None
    )


def grouping(*, max_batches: int = 2, max_items: int = 4, max_waiting: int = 100) -> Grouping:
    return Grouping(max_batches=max_batches, max_items=max_items, max_waiting=max_waiting)


def sizes(batch: Batch | None) -> list[int]:
    return [] if batch is None else [each.items for each in batch.calls]


def test_a_call_goes_at_once_while_few_are_on_their_way() -> None:
    group = grouping(max_batches=2)

    sent = [group.add(call(), 0) for _ in range(3)]

    assert [sizes(batch) for batch in sent] == [[1], [1], []]
    assert group.waiting_items == 1


def test_as_many_more_are_on_their_way_as_there_are_workers() -> None:
    group = grouping(max_batches=2)
    group.heard_of("a", 0)
    group.heard_of("b", FORGET_S - 1)

    with_two = [group.add(call(), FORGET_S - 1) for _ in range(5)]
    group.heard_of("b", FORGET_S + 1)
    with_one = group.add(call(), FORGET_S + 1)

    assert [sizes(batch) for batch in with_two] == [[1], [1], [1], [1], []]
    assert with_one is None


def test_what_was_collected_goes_together_when_a_batch_returns() -> None:
    group = grouping(max_batches=1, max_items=4)
    first = group.add(call(), 0)
    for _ in range(6):
        group.add(call(), 0)
    assert first is not None

    second = group.returned(first, 0)
    assert second is not None
    third = group.returned(second, 0)

    assert (sizes(second), sizes(third), group.waiting_items) == ([1, 1, 1, 1], [1, 1], 0)


def test_calls_of_another_model_version_or_shape_do_not_travel_together() -> None:
    group = grouping(max_batches=1)

    others = [call(), call(model="n"), call(version="2"), call(width=3)]

    assert [sizes(group.add(each, 0)) for each in others] == [[1]] * 4


def test_a_call_of_many_items_travels_whole() -> None:
    group = grouping(max_batches=1, max_items=4)
    first = group.add(call(9), 0)
    group.add(call(3), 0)
    group.add(call(2), 0)
    assert first is not None

    assert (sizes(first), sizes(group.returned(first, 0))) == ([9], [3])


def test_what_is_over_or_too_late_is_dropped() -> None:
    group = grouping(max_batches=1)
    first = group.add(call(), 0)
    left, late, waiting = call(), call(deadline=5), call()
    for each in (left, late, waiting):
        group.add(each, 0)
    left.is_over = True
    assert first is not None

    batch = group.returned(first, 6)

    assert batch is not None and batch.calls == [waiting]
    assert group.waiting_items == 0


def test_too_many_waiting_items_are_refused_and_the_others_wait_on() -> None:
    group = grouping(max_batches=1, max_waiting=3)
    first = group.add(call(), 0)
    group.add(call(2), 0)

    with pytest.raises(Unavailable) as caught:
        group.add(call(2), 0)

    assert caught.value.code == "overloaded" and group.waiting_items == 2
    assert first is not None and sizes(group.returned(first, 0)) == [2]


def test_nothing_is_kept_of_a_kind_that_has_no_calls() -> None:
    group = grouping()
    for version in range(1000):
        batch = group.add(call(version=str(version)), 0)
        assert batch is not None
        group.returned(batch, 0)

    assert not group._kinds


def test_a_batch_is_one_tensor_or_one_list_of_files_in_the_order_of_its_calls() -> None:
    tensors = Batch([call(2), call(1)])
    images = Batch([Call("m", "1", [b"a", b"b"], 1, print), Call("m", "1", [b"c"], 2, print)])

    inputs = tensors.inputs()
    assert isinstance(inputs, Mapping) and inputs["x"].shape == (3, 2)
    assert (images.inputs(), images.deadline) == ([b"a", b"b", b"c"], 2)


def photograph(mebibytes: int) -> Call:
    return Call("m", "1", [bytes(mebibytes * 2**20)], 100, done=lambda _answer: None)


def test_a_batch_is_not_more_than_a_broker_takes_as_one_message() -> None:
    group = grouping(max_batches=1, max_items=64)
    first = group.add(photograph(6), 0)
    for _ in range(3):
        group.add(photograph(6), 0)
    assert first is not None

    second = group.returned(first, 0)

    assert (sizes(second), group.waiting_items) == ([1, 1], 1)


def test_a_call_that_no_broker_takes_as_one_message_is_refused() -> None:
    with pytest.raises(TooLarge, match=r"the inputs take 16777216 bytes, at most \d+: ask in parts"):
        grouping().add(photograph(16), 0)


def test_what_waits_is_bounded_in_bytes_too() -> None:
    group = grouping(max_batches=1, max_waiting=1000)
    group.add(photograph(1), 0)
    for _ in range(18):
        group.add(photograph(14), 0)

    with pytest.raises(Unavailable):
        group.add(photograph(14), 0)

    assert group.waiting_items == 18


def test_a_call_of_more_items_than_may_ever_wait_is_refused_for_good() -> None:
    with pytest.raises(TooLarge, match="101 items are more than the 100 of a call: submit a job"):
        grouping(max_waiting=100).add(call(101), 0)
