"""JSON from outside: read alike for every door, refused for its cause."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.json_document import NotJson, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)  # fmt: skip


@given(VALUES)
def test_whatever_json_can_write_is_read(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value
    assert read_json(json.dumps(value, indent=1, ensure_ascii=False).encode()) == value
    assert read_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "JSON in UTF-8; an empty body"),
        (b" \n", "JSON in UTF-8; an empty body"),
        (b"{", "JSON in UTF-8; something else: Expecting property name"),
        (b'{"a": 1}}', "JSON in UTF-8; something else: Extra data: line 1 column 9"),
        (b'{"a": [1, 2', "JSON in UTF-8; something else: Expecting ',' delimiter"),
        (b"{'a': 1}", "JSON in UTF-8; something else: Expecting property name enclosed in double quotes"),
        (b'{"a": "\xff"}', "JSON in UTF-8; the byte 0xff at 7"),
        ('{"a": 1}'.encode("utf-16"), "JSON in UTF-8; UTF-16"),
        ('{"a": 1}'.encode("utf-16-be"), "JSON in UTF-8; UTF-16"),
        ('{"a": 1}'.encode("utf-32"), "JSON in UTF-8; UTF-32"),
        (gzip.compress(b"{}", mtime=0), "JSON in UTF-8; gzip, without a Content-Encoding that says so"),
        (b"[" * 100_000, "too many brackets in each other"),
        (b'{"a":' * 100_000, "too many brackets in each other"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number of thousands of digits"),
    ],
)
def test_what_is_no_json_is_refused_for_its_cause(data: bytes, fault: str) -> None:
    with pytest.raises(NotJson) as caught:
        read_json(data)

    told = f"{caught.value.expected}; {caught.value.got}"
    assert fault in told and caught.value.where == ""


@pytest.mark.parametrize(
    ("data", "where", "got"),
    [
        (b'{"rows": [[1, NaN]]}', "rows[0][1]", "NaN"),
        (b'{"rows": [{"a": Infinity}]}', "rows[0].a", "Infinity"),
        (b'{"rows": [-Infinity, NaN]}', "rows[0]", "-Infinity"),
        (b'{"rows": [[1, 1e999]]}', "rows[0][1]", "1e999"),
        (b'{"name": "\\ud800"}', "name", 'half of a surrogate pair in "\\ud800"'),
        (b'\xef\xbb\xbf{"rows": [NaN]}', "rows[0]", "NaN"),
    ],
)
def test_what_json_cannot_say_is_refused_where_it_stands(data: bytes, where: str, got: str) -> None:
    with pytest.raises(NotJson) as caught:
        read_json(data)

    assert (caught.value.where, caught.value.got) == (where, got)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"a": 1, "a": 1}', "a"),
        (b'{"a" : 1 , "b": {"c": [{"d": 1, "e": 2, "d": 3}]}}', "d"),
        (b'[1, {"a": 1, "a": 2}]', "a"),
        (b'{"a": [[{"b": 1, "b": 2}]]}', "b"),
        (b'{"a": 1, "\\u0061": 2}', "a"),
        ('\ufeff{"a": 1, "a": 2}'.encode(), "a"),
    ],
)
def test_a_name_that_comes_twice_in_an_object_is_refused(data: bytes, name: str) -> None:
    with pytest.raises(NotJson) as caught:
        read_json(data)

    assert (caught.value.expected, caught.value.got) == ("each name once in an object", f'"{name}" twice')


@given(VALUES, st.text("ab:", max_size=3))
def test_no_name_is_lost_wherever_it_stands(value: Any, name: str) -> None:
    member = json.dumps(name)

    with pytest.raises(NotJson):
        read_json(f'{{"x": {json.dumps(value)}, "y": [{{{member}: 1, {member}: {json.dumps(value)}}}]}}')


def test_colons_in_texts_are_no_names() -> None:
    assert read_json(b'{"a": ":::", "b": {"c:d": "a:1"}}') == {"a": ":::", "b": {"c:d": "a:1"}}


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_whoever_looks_for_halves_of_characters_gets_them() -> None:
    assert read_json(b'{"a": "\\ud800"}', takes_odd=True) == {"a": "\ud800"}


def test_numbers_are_what_they_are() -> None:
    assert read_json(b"[18446744073709551616, 1e300, -0.0, 9007199254740993]") == [
        2**64,
        1e300,
        0.0,
        2**53 + 1,
    ]
