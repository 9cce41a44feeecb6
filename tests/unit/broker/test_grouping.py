from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from production_server.broker.grouping import Batch, Call, Grouping
from production_server.errors import TooLarge, Unavailable


def call(
    items: int = 1, *, model: str = "m", version: str = "1", deadline: float = 100, width: int = 2
) -> Call:
    return Call(
        model, version, {"x": np.zeros((items, width), np.float32)}, deadline, done=lambda _answer: None
    )


def grouping(*, max_batches: int = 2, max_items: int = 4, max_waiting: int = 100) -> Grouping:
    return Grouping(max_batches=max_batches, max_items=max_items, max_waiting=max_waiting)


def add(group: Grouping, one: Call, *, workers: int = 1) -> Batch | None:
    """Have it take a call in; gives what is to be sent at once."""
    group.add(one)
    return group.next(one.kind, 0, workers=workers)


def returned(group: Grouping, batch: Batch, now: float = 0) -> Batch | None:
    """Have a batch return; gives what is to be sent then."""
    group.returned(batch)
    return group.next(batch.calls[0].kind, now, workers=1)


def sizes(batch: Batch | None) -> list[int]:
    return [] if batch is None else [each.items for each in batch.calls]


def test_a_call_goes_at_once_while_few_are_on_their_way() -> None:
    group = grouping(max_batches=2)

    sent = [add(group, call()) for _ in range(3)]

    assert [sizes(batch) for batch in sent] == [[1], [1], []]
    assert group.waiting_items == 1


def test_as_many_more_are_on_their_way_as_there_are_workers() -> None:
    group = grouping(max_batches=2)

    with_two = [add(group, call(), workers=2) for _ in range(5)]
    with_one = add(group, call(), workers=1)

    assert [sizes(batch) for batch in with_two] == [[1], [1], [1], [1], []]
    assert with_one is None


def test_workers_that_have_nothing_share_what_was_read_at_once() -> None:
    group = grouping(max_batches=2, max_items=64)
    for _ in range(9):
        group.add(call())

    batches = [group.next(call().kind, 0, workers=3) for _ in range(4)]

    assert [sizes(batch) for batch in batches] == [[1] * 3] * 3 + [[]]


def test_what_was_collected_goes_together_when_a_batch_returns() -> None:
    group = grouping(max_batches=1, max_items=4)
    first = add(group, call())
    for _ in range(6):
        add(group, call())
    assert first is not None

    second = returned(group, first)
    assert second is not None
    third = returned(group, second)

    assert (sizes(second), sizes(third), group.waiting_items) == ([1, 1, 1, 1], [1, 1], 0)


def test_calls_of_another_model_version_or_shape_do_not_travel_together() -> None:
    group = grouping(max_batches=1)

    others = [call(), call(model="n"), call(version="2"), call(width=3)]

    assert [sizes(add(group, each)) for each in others] == [[1]] * 4


def test_a_call_of_many_items_travels_whole() -> None:
    group = grouping(max_batches=1, max_items=4)
    first = add(group, call(9))
    add(group, call(3))
    add(group, call(2))
    assert first is not None

    assert (sizes(first), sizes(returned(group, first))) == ([9], [3])


def test_what_is_over_or_too_late_is_dropped() -> None:
    group = grouping(max_batches=1)
    first = add(group, call())
    left, late, waiting = call(), call(deadline=5), call()
    for each in (left, late, waiting):
        add(group, each)
    left.is_over = True
    assert first is not None

    batch = returned(group, first, 6)

    assert batch is not None and batch.calls == [waiting]
    assert group.waiting_items == 0


def test_too_many_waiting_items_are_refused_and_the_others_wait_on() -> None:
    group = grouping(max_batches=1, max_waiting=3)
    first = add(group, call())
    add(group, call(2))

    with pytest.raises(Unavailable) as caught:
        add(group, call(2))

    assert caught.value.code == "overloaded" and group.waiting_items == 2
    assert first is not None and sizes(returned(group, first)) == [2]


def test_nothing_is_kept_of_a_kind_that_has_no_calls() -> None:
    group = grouping()
    for version in range(1000):
        batch = add(group, call(version=str(version)))
        assert batch is not None
        returned(group, batch)

    assert not group._kinds


def test_a_batch_is_one_tensor_or_one_list_of_files_in_the_order_of_its_calls() -> None:
    tensors = Batch([call(2), call(1)])
    images = Batch([Call("m", "1", [b"a", b"b"], 1, print), Call("m", "1", [b"c"], 2, print)])

    inputs = tensors.inputs()
    assert isinstance(inputs, Mapping) and inputs["x"].shape == (3, 2)
    assert (images.inputs(), images.deadline) == ([b"a", b"b", b"c"], 2)


def photograph(mebibytes: int) -> Call:
    return Call("m", "1", [bytes(mebibytes * 2**20)], 100, done=lambda _answer: None)


def test_a_batch_is_not_more_than_a_worker_takes() -> None:
    group = grouping(max_batches=1, max_items=64)
    first = add(group, photograph(6))
    for _ in range(3):
        add(group, photograph(6))
    assert first is not None

    second = returned(group, first)

    assert (sizes(second), group.waiting_items) == ([1, 1], 1)


def test_a_call_that_no_worker_takes_is_refused() -> None:
    with pytest.raises(TooLarge, match=r"the inputs take 16777216 bytes, at most \d+: ask in parts"):
        add(grouping(), photograph(16))


def test_what_waits_is_bounded_in_bytes_too() -> None:
    group = grouping(max_batches=1, max_waiting=1000)
    add(group, photograph(1))
    for _ in range(18):
        add(group, photograph(14))

    with pytest.raises(Unavailable):
        add(group, photograph(14))

    assert group.waiting_items == 18


def test_a_call_of_more_items_than_may_ever_wait_is_refused_for_good() -> None:
    with pytest.raises(TooLarge, match="101 items are more than the 100 of a call: submit a job"):
        add(grouping(max_waiting=100), call(101))
