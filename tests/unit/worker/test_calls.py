"""Which batches of calls a worker answers at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from production_server.broker.calls import Request, decode_reply, encode_request
from production_server.inference import Engine
from production_server.models.registry import Registry
from production_server.settings import read_settings
from production_server.worker import quick_versions
from production_server.worker.calls import CallProcessor
from production_server.worker.throttle import Throttle
from testing.processes import wait_until
from testing.small_models import write_table_model


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    # However slow this machine is.
    for limit in ("QUICK_S", "NOTICED_S", "SLOW_S"):
        monkeypatch.setattr(quick_versions, limit, 10)
    write_table_model(tmp_path)
    registry = Registry([tmp_path])
    registry.start()
    wait_until(lambda: registry.at_hand("table", "1") is not None, what="the version is known")
    yield Engine(registry, threads=1)
    registry.close()


@pytest.fixture
def processor(engine: Engine) -> CallProcessor:
    made = CallProcessor(engine, read_settings({}), name="one", throttle=Throttle())
    for _ in range(quick_versions.WEIGHT):
        made.answer(batch(4))
    return made


def batch(rows: int) -> bytes:
    return encode_request(Request("table", "1", {"features": np.ones((rows, 2), np.float32)}, {}))


def test_a_batch_of_a_version_that_was_quick_is_answered_at_once(processor: CallProcessor) -> None:
    reply = processor.answer_if_quick(batch(2))

    assert reply is not None
    outputs = decode_reply(reply).outputs
    assert outputs is not None and [len(each) for each in outputs.values()] == [2]


def test_a_version_that_suddenly_takes_long_does_so_once(
    processor: CallProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick_versions, "SLOW_S", 0)
    monkeypatch.setattr(quick_versions, "SHARE", 10**9)

    replies = [processor.answer_if_quick(batch(2)) for _ in range(3)]

    assert [reply is None for reply in replies] == [False, True, True]
    assert decode_reply(processor.answer(batch(2))).error is None


@pytest.mark.parametrize("body", [batch(5), b"", b"\0\0\0\2{}", batch(10_000)])
def test_what_is_larger_or_cannot_be_read_is_not(processor: CallProcessor, body: bytes) -> None:
    assert processor.answer_if_quick(body) is None


def test_nobody_waits_for_a_version_to_be_loaded(processor: CallProcessor, engine: Engine) -> None:
    engine.release("table", "1")

    assert processor.answer_if_quick(batch(2)) is None
    assert decode_reply(processor.answer(batch(2))).error is None
    assert processor.answer_if_quick(batch(2)) is not None


def test_a_version_is_not_quick_because_others_are(processor: CallProcessor) -> None:
    other = encode_request(Request("table", "2", {"features": np.ones((1, 2), np.float32)}, {}))

    assert processor.answer_if_quick(other) is None
