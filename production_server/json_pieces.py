"""Reads a long list within a JSON document piece by piece: its values are never there all at once.

Where a piece may end is guessed from how the first element begins. Whether that was right the reader itself tells: what
follows an element, and can be read as whole elements, ends at the end of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from production_server.errors import TooLarge
from production_server.json_document import FREE_BYTES, JSON, NotJson, read_json

PIECE_BYTES = 2**18
"""A piece is so long, and whatever is left of the element in which that ends."""
_GUESSES = 3
"""A text that looks like the end of an element is read in vain; what has more of them is read in one piece."""
_DEEPEST = 4
"""Of an element's brackets so many are looked for: `]]],[[[` parts images of `[height][width][channels]`."""
_STEP_BYTES = 2**18
"""So much is searched at once: meanwhile no other thread has the interpreter."""
_LONGEST_BYTES = 2**16
"""Nothing that is searched for is longer, but for the space in it."""
_SPACE = re.compile(rb"\s*")
_MARK = "the long list"
_CLOSING = {"[": r"\]", "{": r"\}", '"': '"'}
_HAS_ENDED = re.compile(rb'\]\s*,\s*"(?:[^"\\]|\\.)*"\s*:', re.DOTALL)
"""What stands between a list and a further member; it may stand within an element, too."""
_FIRST_ELEMENT = re.compile(rb'[\s\[{]{0,1000}"?')
_PLACE = re.compile(r"\[(\d+)\](.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LongList:
    """A list within a document, whose elements are read when they are wanted."""

    data: bytes
    name: str
    """Of the member that it is."""
    start: int
    stop: int
    """Where its elements stand in `data`."""

    def __iter__(self) -> Iterator[list[Any]]:
        """Its elements, some at a time.

        Raises:
            NotJson, TooLarge: as `read_json`.
        """
        separator = _separator(self.data, self.start)
        place, count = self.start, 0
        while place <= self.stop:
            elements, end = self._next(place, count, separator)
            yield elements
            place, count = end + 1, count + len(elements)

    def _next(self, place: int, count: int, separator: re.Pattern[bytes]) -> tuple[list[Any], int]:
        """Whole elements from a place on, and where the comma behind them is; `count` stand before."""
        error: NotJson | None = None
        for end in self._ends(place, separator):
            try:
                elements: list[Any] = read_json(b"".join((b"[", memoryview(self.data)[place:end], b"]")))
            except NotJson as exc:
                error = error or self._placed(exc, place, count)
                if exc.expected != JSON:
                    break
            except TooLarge:
                if error is None:
                    raise
            else:
                if elements or end - place == self.stop - self.start:
                    return elements, end
                error = error or NotJson(
                    f"two commas, or one at the end, with nothing between (byte {place})"
                )
        raise error or NotJson("nothing")

    def _ends(self, place: int, separator: re.Pattern[bytes]) -> Iterator[int]:
        after = place + PIECE_BYTES
        for _ in range(_GUESSES):
            found = _search(separator, self.data, after, self.stop)
            if found is None:
                break
            yield found.start(1)
            after = found.end(1)
        yield self.stop

    def _placed(self, error: NotJson, place: int, count: int) -> NotJson:
        """The error of a piece as one of the whole document."""
        if found := _PLACE.fullmatch(error.where):
            where = f"{self.name}[{count + int(found[1])}]{found[2]}"
            return NotJson(error.got, expected=error.expected, where=where)
        counted = f" (counted from byte {place})" if error.expected == JSON else ""
        return NotJson(f"{error.got}{counted}", expected=error.expected)


def read_with_long_list(data: bytes, name: str) -> tuple[Any, LongList | None]:
    """A document, and the list that its member `name` is, if that is long; in the document then stands another one.

    Raises:
        NotJson, TooLarge: as `read_json`; of what is in the list only when it is read.
    """
    found = re.search(rb'"%b"\s*:\s*\[' % name.encode(), data) if len(data) > FREE_BYTES else None
    stop = data.rfind(b"]")
    if found is not None and found.end() <= stop and not _search(_HAS_ENDED, data, found.end(), stop):
        try:
            value = read_json(b'%b"%b"%b' % (data[: found.end()], _MARK.encode(), data[stop:]))
        except NotJson:
            value = None
        # It may have been a member of another object, or have ended before.
        if isinstance(value, dict) and value.get(name) == [_MARK]:
            return value, LongList(data, name, found.end(), stop)
    return read_json(data), None


def _search(pattern: re.Pattern[bytes], data: bytes, start: int, stop: int) -> re.Match[bytes] | None:
    """The first place between two at which a pattern is found."""
    for step in range(start, stop, _STEP_BYTES):
        space = _SPACE.match(data, min(step + _STEP_BYTES + _LONGEST_BYTES, stop), stop)
        found = pattern.search(data, step, min(space.end() + _LONGEST_BYTES, stop) if space else stop)
        if found is not None:
            return found
    return None


def _separator(data: bytes, start: int) -> re.Pattern[bytes]:
    """What stands between two elements that begin as the first one does; its first group is the comma."""
    first = _FIRST_ELEMENT.match(data, start)
    opening = "".join((first[0] if first else b"").decode().split())
    # Of an object the first name follows.
    opening = opening.rstrip('"')[:_DEEPEST] or opening
    closing = r"\s*".join(_CLOSING[each] for each in reversed(opening))
    following = r"\s*".join(map(re.escape, opening)) or r"(?=\S)"
    # No space before a comma that has nothing before it: a long row of them would be gone through from each one on.
    ending = rf"{closing}\s*" if closing else ""
    return re.compile(rf"{ending}(,)\s*{following}".encode())
