"""The numbers of a usual call, read into an array without an object for each of them.

What is read here comes out as `json_document` and `tensor_values` would have it. All else is None: they read it then,
and say what is wrong. How lists are nested is seen from the marks between the numbers; simdjson judges the JSON.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import simdjson

LONGEST_BYTES = 128 * 2**10
"""Longer bodies are read in a thread, where nobody waits for them, and counted before."""
MARK = ["the list of numbers"]
"""Stands in a document where the list was."""
DTYPES = frozenset({"float32", "float64"})
"""What every number fits that is not too large; whether one fits an integer is judged elsewhere."""
_MARK_TEXT = b'["the list of numbers"]'
_NO_MARKS = b"0123456789+-.eE \t\r\n"
_VALUE = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*(?=\[)")


class Apart(NamedTuple):
    """A document with `MARK` as one member's value, and the text of that value."""

    document: bytes
    numbers: bytes


def set_apart(body: bytes, member: bytes) -> Apart | None:
    """A document and the list that is its only member of this name, at whatever level; the list itself is not read.

    If the document is JSON, and has `MARK` where the member should be, the body is what it says with that list in it,
    if that is JSON: a name stands there as it is given here, and once, since no text has a quotation mark in it.
    """
    if len(body) >= LONGEST_BYTES or b"\\" in body:
        return None
    name = b'"%b"' % member
    place = body.find(name)
    if place < 0 or body.find(name, place + 1) >= 0:
        return None
    found = _VALUE.match(body, place + len(name))
    if found is None:
        return None
    start = found.end()
    # Behind a member stands the end of its object or another name; in a list of numbers there is neither.
    after = [end for end in (body.find(b"}", start), body.find(b'"', start)) if end >= 0]
    stop = body.rfind(b"]", start, min(after, default=start)) + 1
    if not stop:
        return None
    return Apart(b"%b%b%b" % (body[:start], _MARK_TEXT, body[stop:]), body[start:stop])


def items_in(numbers: bytes, item_shape: Sequence[int | None], dtype: str) -> np.ndarray | None:
    """A list of items, each nested as the shape says: [items, …]."""
    sizes = tuple(size for size in item_shape if size is not None)
    if not sizes or len(sizes) < len(item_shape) or math.prod(sizes) > LONGEST_BYTES:
        return None
    marks, item = numbers.translate(None, _NO_MARKS), _marks_of(sizes)
    count = (len(marks) - 1) // (len(item) + 1)
    if count < 1 or marks != b"[%b]" % b",".join([item] * count):
        return None
    return _array(numbers, (count, *sizes), dtype)


def flat_in(numbers: bytes, shape: Sequence[int], dtype: str) -> np.ndarray | None:
    """One list with as many numbers as the shape has, in that shape."""
    size = math.prod(shape)
    if not 0 < size <= len(numbers) or numbers.translate(None, _NO_MARKS) != b"[%b]" % (b"," * (size - 1)):
        return None
    return _array(numbers, shape, dtype)


@lru_cache(maxsize=64)
def _marks_of(shape: tuple[int, ...]) -> bytes:
    """What is written between the numbers of one item."""
    marks = b""
    for size in reversed(shape):
        marks = b"[%b]" % b",".join([marks] * size)
    return marks


def _array(numbers: bytes, shape: Sequence[int], dtype: str) -> np.ndarray | None:
    """Numbers whose marks are those of the shape."""
    if dtype not in DTYPES:
        return None
    try:
        # A parser that is kept cannot be shared between threads, and saves a fifth of a microsecond.
        found: Any = simdjson.Parser().parse(numbers)
        doubles = np.frombuffer(found.as_buffer(of_type="d"), np.float64)
    except (ValueError, TypeError, RuntimeError):
        return None
    if doubles.size != math.prod(shape):
        return None
    with np.errstate(over="ignore"):
        array = doubles.astype(dtype).reshape(shape)
    return array if np.isfinite(array).all() else None
