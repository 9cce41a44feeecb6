"""JSON from outside: read alike for every door, refused for its cause."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.errors import TooLarge
from production_server.json_document import NotJson, memory_of, read_json

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


UNITS = [
    b"[],", b"{},", b'{"":1},', b'{"a":[]},', b"1,", b"1.5,", b"300,", b'"",', b'"a",', '"€",'.encode(), b"[1,1,1],",
    b"[12,34,56],", b"[6,148,72,35,0,33.6,0.627,50],", b'{"a":1,"b":2},', b'{"a":":"},', b'"\\u0041",', b"true,",
    b'{"pregnancies":6,"glucose":148,"bmi":33.6},', b"[[[[[[[[[[]]]]]]]]]],", b'{"a":{"b":{"c":{"d":{}}}}},',
]  # fmt: skip


GROWN = """
import resource, sys
from production_server.json_document import read_json
def most(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
data = sys.stdin.buffer.read()
before = most()
value = read_json(data)
print(most() - before)
"""


@pytest.mark.parametrize("unit", UNITS)
def test_what_reading_takes_is_known_before_and_no_more(unit: bytes) -> None:
    data = b"[" + unit * (2**20 // len(unit)) + b"0]"

    # The most memory that a process had is never less again: each has its own.
    told = subprocess.run([sys.executable, "-c", GROWN], input=data, capture_output=True, check=True)
    grown = int(told.stdout)

    assert grown < memory_of(data) + 4 * 2**20


@pytest.mark.parametrize(
    "unit", [b"[],", b"{},", b'{"":1},', b'"a",', b"1.5,", b"[" * 500 + b"]" * 500 + b","]
)
def test_a_body_that_would_take_gigabytes_is_refused_before_anything_is_made(unit: bytes) -> None:
    data = b"[" + unit * (16 * 2**20 // len(unit)) + b"0]"

    with pytest.raises(TooLarge, match="at most 96 MiB"):
        read_json(data)


@pytest.mark.parametrize(
    "data",
    [
        b'[{"b64":"%b"}]' % (b"QUJD" * 4 * 2**20),
        b"[" + b"0.5372549295425415," * 800_000 + b"0]",
        b"[" + b"137, " * 1_500_000 + b"0]",
    ],
    ids=["image", "numbers", "pixels"],
)
def test_what_people_send_is_read(data: bytes) -> None:
    assert read_json(data)


def test_what_is_odd_behind_many_values_is_found() -> None:
    with pytest.raises(NotJson) as caught:
        read_json(b"[" + b"1," * 300_000 + b"NaN]")

    assert caught.value.where == "[300000]"
