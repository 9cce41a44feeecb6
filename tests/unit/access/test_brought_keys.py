from __future__ import annotations

import pytest

from production_server.access.brought_keys import read_brought_keys
from production_server.access.key_text import digest_of, id_of, new_key
from production_server.access.records import Client
from production_server.access.scopes import USUAL, Scope
from production_server.errors import SettingsError


def test_a_line_says_whose_a_key_is_and_what_it_opens() -> None:
    one, two, three = new_key(), new_key(), new_key()

    found = read_brought_keys(f"# of the lab\n{one}\n\n{two} anna  # hers\n{three} bert read predict\n")

    assert found == {
        digest_of(one): Client("deployment", frozenset(USUAL), id_of(one), "API_KEYS: deployment"),
        digest_of(two): Client("anna", frozenset(USUAL), id_of(two), "API_KEYS: anna"),
        digest_of(three): Client(
            "bert", frozenset({Scope.READ, Scope.PREDICT}), id_of(three), "API_KEYS: bert"
        ),
    }


def test_what_is_no_key_is_named_by_its_line_and_not_shown() -> None:
    secret = "hunter2hunter2hunter2"

    with pytest.raises(SettingsError) as caught:
        read_brought_keys(f"{new_key()}\n{secret}\n{new_key()[:-1]}\n{new_key()} anna fly\n{new_key()} an/na")

    assert [fault.field for fault in caught.value.faults] == [f"API_KEYS, line {n}" for n in (2, 3, 4, 5)]
    assert secret not in str(caught.value)


def test_a_key_that_comes_twice_is_refused() -> None:
    key = new_key()

    with pytest.raises(
        SettingsError, match=r"API_KEYS, line 2: expected another key, got one of a line before"
    ):
        read_brought_keys(f"{key} anna read\n{key} anna admin")
