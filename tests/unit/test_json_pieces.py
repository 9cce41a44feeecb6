"""A long list in a JSON document: read in pieces, to the same values and refusals as all at once."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from production_server import json_pieces
from production_server.errors import TooLarge
from production_server.json_document import FREE_BYTES, NotJson, read_json
from production_server.json_pieces import PIECE_BYTES, read_with_long_list

LONG = FREE_BYTES + 1
ROWS = [[random.Random(place).uniform(0, 200) for _ in range(8)] for place in range(20_000)]
LISTS: dict[str, list[Any]] = {
    "rows": ROWS,
    "rows by name": [dict(zip("abcdefgh", row, strict=True)) for row in ROWS],
    "pixels": [[[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [0, 1, 2]]]] * 60_000,
    "images": [{"b64": "QUJD" * 1000}] * 600,
    "an image longer than a piece": [{"b64": "QUJD" * 400_000}, {"b64": "QUJD" * 400_000}],
    "objects in objects": [{"image": {"b64": "QUJD" * 10}, "more": [{"a": 1}, {"a": 2}]}] * 25_000,
    "texts": ['a","b', "],[", "},{", "c"] * 150_000,
    "texts that look like ends": [["],[" * 100_000], ["],[" * 100_000], *[["x" * 100]] * 20_000],
    "numbers": [1.5, 2, -3e10] * 200_000,
    "several kinds": [[1], 2, "three", {"four": [5]}] * 70_000,
}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", LISTS)
def test_a_long_list_is_the_same_in_pieces(name: str, indent: int | None) -> None:
    body = json.dumps({"model": "m", "inputs": LISTS[name], "priority": "high"}, indent=indent).encode()
    assert len(body) > LONG

    value, long_list = read_with_long_list(body, "inputs")

    assert long_list is not None
    assert (value["model"], value["priority"]) == ("m", "high")
    is_same = [each for piece in long_list for each in piece] == LISTS[name]
    assert is_same  # pytest would tell where two lists of this length differ


def test_a_piece_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def reading(data: bytes) -> Any:
        read.append(len(data))
        return read_json(data)

    monkeypatch.setattr(json_pieces, "read_json", reading)

    _, long_list = read_with_long_list(json.dumps({"inputs": ROWS}).encode(), "inputs")

    assert sum(map(len, long_list or [])) == len(ROWS)
    assert max(read) < 1.1 * json_pieces.PIECE_BYTES


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [1, 2]}',
        b'{"padding": "%b", "inputs": 1}' % (b"x" * LONG),
        b'{"a": {"inputs": [1]}, "padding": "%b"}' % (b"x" * LONG),
        b'{"\\u0069nputs": [], "x": {"inputs": [1, "%b"]}}' % (b"x" * LONG),
        b'["%b"]' % (b"x" * LONG),
    ],
)
def test_whatever_else_is_read_whole(body: bytes) -> None:
    value, long_list = read_with_long_list(body, "inputs")

    assert long_list is None
    assert value == read_json(body)


SPACES = b" " * LONG


@pytest.mark.parametrize(
    ("elements", "where", "got"),
    [
        (b"[1]," * 600_000 + b"[NaN]", "inputs[600000][0]", "NaN"),
        (b'{"a":1},' * 500_000 + b'{"a":1,"a":2}', "", '"a" twice'),
        (b"[1]," * 600_000 + b"[", "", "something else"),
        (b"[1]," * 600_000 + b"\xff", "", "the byte 0xff"),
        (b"1," * 1_200_000, "", "something else"),
        (b"[1]," * 600_000, "", "something else"),
        (b"," + b"[1]," * 600_000 + b"[1]", "", "something else"),
        (b"1," + SPACES + b",1", "", "something else"),
        (b"1" + b" " * PIECE_BYTES + b"," + SPACES + b",1", "", "nothing between"),
        (SPACES + b",", "", "something else"),
        (b"1" + SPACES + b"1", "", "something else"),
    ],
)
def test_what_is_wrong_in_a_long_list_is_said(elements: bytes, where: str, got: str) -> None:
    _, long_list = read_with_long_list(b'{"inputs":[%b]}' % elements, "inputs")
    assert long_list is not None

    with pytest.raises(NotJson) as caught:
        list(long_list)

    assert caught.value.where == where
    assert got in caught.value.got


def test_a_list_of_nothing_but_spaces_is_empty() -> None:
    _, long_list = read_with_long_list(b'{"inputs":[%b]}' % SPACES, "inputs")

    assert long_list is not None
    assert list(long_list) == [[]]


def test_an_element_that_takes_too_much_is_refused() -> None:
    _, long_list = read_with_long_list(b'{"inputs":[[%b[]]]}' % (b"[]," * 800_000), "inputs")
    assert long_list is not None

    with pytest.raises(TooLarge, match="at most 96 MiB"):
        list(long_list)


@pytest.mark.parametrize("further", [b'"names":["a"]', b'"x" : [[1]], "y": []', b'"x":{"inputs":[2]}'])
def test_a_list_after_the_long_one_is_no_part_of_it(further: bytes) -> None:
    data = b'{"inputs":[%b[1]],%b}' % (b"[1]," * 300_000, further)

    value, long_list = read_with_long_list(data, "inputs")

    inputs = value["inputs"] if long_list is None else [each for part in long_list for each in part]
    assert len(inputs) == 300_001
    assert set(value) > {"inputs"}


@pytest.mark.parametrize("space", [b"", SPACES])
def test_a_member_behind_the_long_list_is_found_wherever_it_stands(space: bytes) -> None:
    for filler in range(0, 2**18 + 40, 2**18 // 7):
        head = b'{"x":"%b","inputs":[%b[1]]' % (b"-" * filler, b"[1]," * 300_000)

        value, long_list = read_with_long_list(head + space + b',"names":["a"]}', "inputs")

        assert (value.get("names"), long_list) == (["a"], None)


def test_no_search_keeps_the_interpreter_for_long() -> None:
    """One search goes through all that it is given, and meanwhile an event loop would stand still."""

    class Pattern:
        def __init__(self) -> None:
            self.spans: list[int] = []

        def search(self, _data: bytes, start: int, stop: int) -> None:
            self.spans.append(stop - start)

    pattern = Pattern()
    data = b"[]," * 10_000_000

    assert json_pieces._search(pattern, data, 0, len(data)) is None  # type: ignore[arg-type]  # it has what is used

    assert len(pattern.spans) > 100
    assert max(pattern.spans) <= 2**19
