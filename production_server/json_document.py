"""The one reader of JSON from outside, whichever door it comes through: what it refuses, it refuses for its cause.

Stricter than the standard library's (no NaN, no UTF-16), and than orjson: a name that comes twice in an object has two
readings, of which parsers take one or the other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from production_server.errors import TooLarge
from production_server.shown import describe, shown

JSON = "JSON in UTF-8"
_MARK = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_HOLDERS = (dict, list)
FREE_BYTES = 2**20
"""A document up to this size is read without counting what is in it: at worst it takes 50 times as much."""
MOST_MEMORY_BYTES = 96 * 2**20
"""What reading one may take: a million and a half numbers, or a million pixels in threes."""
# Upper bounds of what the parser's own record of a value and the object made of it take, measured with orjson 3.13;
# tests/unit/test_json_document.py measures again.
_MEMORY_BYTES = {",": 56, "[": 120, "{": 120, ":": 90, '"': 17}
_COUNTED_AT_ONCE = 2**18
"""Bytes that stay in the processor's cache while they are counted."""
_TOO_DEEP = "too many brackets in each other"


class NotJson(ValueError):
    """Raised when a document is none; `where` is a path within it, empty for the whole."""

    def __init__(self, got: str, *, expected: str = JSON, where: str = "") -> None:
        super().__init__(got)
        self.got = got
        self.expected = expected
        self.where = where


class _NoNumber:
    """What stands where a number should, and is none that JSON or a double has; with it as it was written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def read_json(data: bytes | str, *, takes_odd: bool = False) -> Any:
    """The value of a JSON document (RFC 8259); a byte order mark in front of it is passed over.

    `takes_odd`: texts may hold halves of surrogate pairs, and what is no number, such as NaN, may stand for one;
    the caller finds them where they matter.

    Raises:
        NotJson: it is none, says two things under one name, or has numbers that are not finite.
        TooLarge: its values would take more memory than `MOST_MEMORY_BYTES`; none was made.
    """
    if len(data) > FREE_BYTES:
        _check_memory(data if isinstance(data, bytes) else data.encode(errors="surrogatepass"))
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        return _read_slowly(data, str(exc), takes_odd=takes_odd)
    # Each member has a colon. Where there are more of them, texts have some; or a member is lost.
    if data.count(b":" if isinstance(data, bytes) else ":") > _count_members(value):  # type: ignore[arg-type]  # as data
        _parse(data if isinstance(data, str) else data.decode())
    return value


def memory_of(data: bytes) -> int:
    """What reading a document takes at most, in bytes: some of it is the parser's own, and free again afterwards."""
    counts = dict.fromkeys(_MEMORY_BYTES, 0)
    everything = np.frombuffer(data, np.uint8)
    for start in range(0, len(everything), _COUNTED_AT_ONCE):
        some = everything[start : start + _COUNTED_AT_ONCE]
        for mark in counts:
            counts[mark] += int(np.count_nonzero(some == ord(mark)))
    # The parser works on a copy; a text with one character beyond Latin-1 takes up to 4 bytes for each.
    texts = len(data) * (1 if data.isascii() else 4)
    return texts + sum(count * _MEMORY_BYTES[mark] for mark, count in counts.items())


def _check_memory(data: bytes) -> None:
    needed = memory_of(data)
    if needed > MOST_MEMORY_BYTES:
        raise TooLarge.at(
            "body",
            f"values that take at most {MOST_MEMORY_BYTES // 2**20} MiB when they are read (numbers as binary tensors "
            "and images in Base64 take less)",
            f"JSON that may take {needed // 2**20} MiB: send it in parts",
        )


def _count_members(value: object) -> int:
    """How many members objects have; too few where objects stand behind numbers in a list."""
    # Each call pays for this: only what may hold members is looked into, and no list of numbers, as long as bodies.
    count, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        if type(each) is dict:
            count += len(each)
            waiting += [inner for inner in each.values() if type(inner) in _HOLDERS]
        elif type(each) is list and each and type(each[0]) in _HOLDERS:
            waiting += each
    return count


def _read_slowly(data: bytes | str, why: str, *, takes_odd: bool) -> Any:
    """What the fast reader refuses: what it may have, or the cause.

    Raises:
        NotJson: it is not to be had.
    """
    if isinstance(data, bytes) and data.startswith(_MARK):
        return read_json(data[len(_MARK) :], takes_odd=takes_odd)
    value = _parse(data if isinstance(data, str) else _decoded(data))
    for where, each in _leaves(value):
        if isinstance(each, _NoNumber) and not takes_odd:
            raise NotJson(each.text, expected="a finite number, as JSON has no others", where=where)
        if isinstance(each, str) and not takes_odd and not _is_whole(each):
            raise NotJson(f"half of a surrogate pair in {describe(each)}", expected="a text", where=where)
    if takes_odd:
        return value
    raise NotJson(_TOO_DEEP if "depth" in why or "recursion" in why.lower() else f"something else: {why}")


def _decoded(data: bytes) -> str:
    if not data.strip():
        raise NotJson("an empty body")
    if data.startswith(_GZIP):
        raise NotJson("gzip, without a Content-Encoding that says so")
    encoding = json.detect_encoding(data)
    if not encoding.startswith("utf-8"):
        raise NotJson(encoding[:6].upper())
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise NotJson(f"the byte 0x{data[exc.start]:02x} at {exc.start}, which is no UTF-8 there") from exc


def _parse(text: str) -> Any:
    """The value of a document, by a reader that tells more and takes longer.

    Raises:
        NotJson: it is none, or an object has a name twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_NoNumber, parse_float=_float)
    except RecursionError as exc:
        raise NotJson(_TOO_DEEP) from exc
    except json.JSONDecodeError as exc:
        raise NotJson(shown(f"something else: {exc}")) from exc
    except NotJson:
        raise
    except ValueError as exc:
        raise NotJson("a number of thousands of digits") from exc


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotJson(f"{describe(twice)} twice", expected="each name once in an object")
    return found


def _float(text: str) -> float | _NoNumber:
    value = float(text)
    return value if math.isfinite(value) else _NoNumber(text)


def _leaves(value: object) -> Iterator[tuple[str, object]]:
    """Everything that is no list and no object, names too, with its path; in order."""
    # Each holder is gone through step by step: the paths of a million values at once would take more than the values.
    waiting = [iter([("", value)])]
    while waiting:
        where, each = next(waiting[-1], ("", waiting))
        if each is waiting:
            waiting.pop()
        elif isinstance(each, dict):
            waiting.append(_members(where, each))
        elif isinstance(each, list):
            waiting.append(_elements(where, each))
        else:
            yield where, each


def _members(where: str, holder: dict[str, object]) -> Iterator[tuple[str, object]]:
    for name, member in holder.items():
        path = f"{where}.{shown(name)}" if where else shown(name)
        yield path, name
        yield path, member


def _elements(where: str, holder: list[object]) -> Iterator[tuple[str, object]]:
    return ((f"{where}[{index}]", each) for index, each in enumerate(holder))


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
