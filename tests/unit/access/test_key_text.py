from __future__ import annotations

import pytest

from production_server.access.key_text import ID_CHARACTERS, digest_of, fault_of, id_of, new_key

WRONG = "cel_0000000000000000000000000000000000000"[:40]
"""A key of no service: its checksum is wrong, as those in the docs are."""


def test_a_new_key_is_one_and_like_no_other() -> None:
    keys = {new_key() for _ in range(1000)}

    assert len({id_of(key) for key in keys}) == 1000
    assert {fault_of(key) for key in keys} == {None}
    assert {(len(key), key[:4]) for key in keys} == {(40, "cel_")}


def test_what_is_stored_of_a_key_does_not_hold_it() -> None:
    key = new_key()

    assert len(digest_of(key)) == 32
    assert key[ID_CHARACTERS:].encode() not in digest_of(key)
    assert digest_of(key) != digest_of(new_key())


@pytest.mark.parametrize("place", range(4, 40))
def test_a_typing_error_is_told_wherever_it_is(place: int) -> None:
    key = new_key()
    other = "x" if key[place] != "x" else "y"

    assert "typing error" in str(fault_of(key[:place] + other + key[place + 1 :]))


def test_two_characters_in_each_others_place_are_told() -> None:
    key = next(key for key in (new_key() for _ in range(100)) if key[9] != key[10])

    assert "typing error" in str(fault_of(key[:9] + key[10] + key[9] + key[11:]))


@pytest.mark.parametrize(
    "key",
    ["", "cel_", "cel_" + "a" * 35, "cel_" + "a" * 37, "ghp_" + "a" * 36, "cel_" + "ä" * 36, "cel_" + "a" * 35 + "\n",
     "cel_" + "a" * 10_000, "cel_" + "\u0661" * 36, " cel_" + "a" * 36],
)  # fmt: skip
def test_what_is_no_key_is_told(key: str) -> None:
    assert "is none of this service's" in str(fault_of(key))


def test_the_keys_in_the_docs_open_nothing() -> None:
    assert "typing error" in str(fault_of(WRONG))
