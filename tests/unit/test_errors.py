from __future__ import annotations

from collections.abc import Iterator

import pytest

from production_server.broker.calls import Reply, decode_reply, encode_reply
from production_server.errors import (
    CeleriacError,
    Fault,
    InvalidInput,
    NotFound,
    TooLarge,
    Unavailable,
    retryable_codes,
)


def classes(root: type[CeleriacError] = CeleriacError) -> Iterator[type[CeleriacError]]:
    yield root
    for child in root.__subclasses__():
        yield from classes(child)


def test_every_code_is_declared_by_one_class() -> None:
    codes = [code for kind in classes() for code in (kind.code, *kind.other_codes)]

    assert sorted(codes) == sorted(set(codes))


def test_a_code_that_a_class_does_not_declare_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="NotFound declares no code 'overloaded'"):
        NotFound("there is nothing", code="overloaded")


def test_what_may_succeed_another_time_is_said_by_the_classes() -> None:
    assert retryable_codes() == {
        "deadline_exceeded", "object_forbidden", "object_missing", "object_too_slow", "overloaded",
        "storage_unavailable", "too_many_requests", "unavailable", "worker_lost",
    }  # fmt: skip


@pytest.mark.parametrize("kind", [InvalidInput, TooLarge])
def test_an_error_for_one_fault_says_where_what_was_expected_and_what_came(kind: type[InvalidInput]) -> None:
    error = kind.at("inputs[3]", "at most 9 items", "10")

    assert str(error) == "inputs[3]: expected at most 9 items, got 10"
    assert (error.faults, error.code) == ((Fault("inputs[3]", "at most 9 items", "10"),), kind.code)


def test_a_code_of_a_newer_release_does_not_make_a_reply_unreadable() -> None:
    error = Unavailable("too much", code="overloaded")
    sent = encode_reply(Reply(None, {}, error, 0, "w")).replace(b'"overloaded"', b'"overcrowds"')

    received = decode_reply(sent).error

    assert isinstance(received, Unavailable)
    assert (received.code, str(received)) == ("unavailable", "too much")
