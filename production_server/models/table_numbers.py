"""How numbers are written in a table: with one decimal sign in all of it, and nothing between digits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from production_server.errors import MAX_FAULTS
from production_server.shown import describe

MAX_EXACT = 2**53
"""Whole numbers below it are whole numbers."""
MAX_INT_DIGITS = 15

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?P<sign>[.,])?[0-9]*|(?P<first>[.,])[0-9]+)(?:[eE][+-]?[0-9]+)?")
# 1.046 and 1,046: the sign may be the decimal sign, or part thousands. 0.046, 12.34 and 1234.567 have one reading.
_EITHER = re.compile(r"[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}")
# Dots, commas, spaces of all kinds, apostrophes and underscores between the digits of a number.
_GROUPED = re.compile(r"[+-]?[0-9]+(?:[.,'’_\s][0-9]+)+")
_PERCENT = re.compile(r"([+-]?[0-9]+(?:[.,][0-9]+)?)\s?%")
# Digits and signs of any script: float() takes the digits, and such a sign may part thousands.
_ANY_DIGITS = re.compile(
    r"[+\-\u2212\uff0b\uff0d]?[\d.,\u066b\u066c\uff0e\uff0c'’_\s]+(?:[eE][+-]?\d+)?\s?[%\u066a\uff05]?"
)
_WHOLE = re.compile(r"[+-]?[0-9]{1,4000}")
_NAMES = {".": "points", ",": "commas"}


@dataclass(frozen=True, slots=True)
class Place:
    """A cell: its line from 1 (0: there are no lines), its column from 0, and what is in it."""

    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column + 1}"


class Numbers:
    """Reads the cells of one table, in its order, and learns from them which its decimal sign is."""

    def __init__(self, delimiter: str) -> None:
        self._default = "." if delimiter == "," else None
        """Whoever puts commas between cells writes points into numbers, as long as nothing says otherwise."""
        self._sign: str | None = None
        self._shown_by: Place | None = None
        self._open: dict[str, list[Place]] = {".": [], ",": []}

    def read(self, line: int, column: int, text: str) -> float | None:
        """The number in a cell; None: there is none, or not written as the others are.

        A sign that may part thousands is taken for the decimal sign until the end of the table: see `undecided`.
        """
        # Most cells: none of them should cost more than this.
        if text.isdigit() and text.isascii() and len(text) <= MAX_INT_DIGITS:
            return int(text)
        sign = _sign_of(text)
        if sign and self._sign is None:
            self._learn(sign, Place(line, column, text))
        if sign and self._sign not in (None, sign):
            return None
        return _float(text.replace(",", ".") if sign else text)

    def plainly(self, line: int, column: int, text: str) -> str | None:
        """A finite number in a cell as it is written, but with a point; None as `read` has it."""
        if self.read(line, column, text) is None:
            return None
        return plain_number(text.replace(",", ".") if _sign_of(text) else text)

    def _learn(self, sign: str, place: Place) -> None:
        if not _EITHER.fullmatch(place.text):
            self._sign, self._shown_by = sign, place
        elif len(self._open[sign]) < MAX_FAULTS:
            self._open[sign].append(place)

    def undecided(self) -> Iterator[Place]:
        """At the end of the table: cells that were read, and can be read in two ways (some of them)."""
        sign = self._sign or self._default
        for each, places in self._open.items():
            if each != sign:
                yield from places

    def fault_of(self, text: str) -> tuple[str, str] | None:
        """What was expected of a cell that is no number of this table, and what it is; None: no number at all."""
        if found := self.readings_of(text):
            return found
        if _GROUPED.fullmatch(text):
            return "a number with nothing between its digits but a decimal sign", describe(text)
        return None

    def readings_of(self, text: str) -> tuple[str, str] | None:
        """The same of what has two readings, other digits, or another decimal sign than the others."""
        if has_other_digits(text):
            return "a number in the digits 0 to 9", describe(text)
        if percent := _PERCENT.fullmatch(text):
            share = percent[1].replace(",", ".")
            return "a number that can be read in one way", f"{text}: {share} or {_shown(float(share) / 100)}"
        if _EITHER.fullmatch(text):
            return self._one_way, f"{describe(text)}: {re.sub('[.,]', '', text)} or {text.replace(',', '.')}"
        if self._sign is not None and _sign_of(text) not in ("", self._sign):
            return self._one_way, describe(text)
        return None

    @property
    def _one_way(self) -> str:
        if self._sign is None:
            return "a number that can be read in one way"
        where = f" ({self._shown_by})" if self._shown_by and self._shown_by.line else ""
        return f"a number with the decimal sign of the others: {_NAMES[self._sign]}{where}"


def _sign_of(text: str) -> str:
    """The decimal sign of a number; empty: it has none, or is none."""
    match = _DECIMAL.fullmatch(text)
    return "" if match is None else match["sign"] or match["first"] or ""


def is_like_a_number(cell: str) -> bool:
    """Whether a cell is a number, whatever separates its digits: no name of a column."""
    text = cell.strip()
    patterns = (_DECIMAL, _GROUPED, _PERCENT)
    is_one = any(pattern.fullmatch(text) for pattern in patterns) or _float(text) is not None
    return is_one or has_other_digits(text)


def has_other_digits(text: str) -> bool:
    """Whether it is a number with digits of another script: Arabic ones, or full-width ones."""
    is_other = not text.isascii() and any(each.isdecimal() and not each.isascii() for each in text)
    return is_other and _ANY_DIGITS.fullmatch(text) is not None


def is_plain_number(cell: str) -> bool:
    """Whether a cell is a number with at most a decimal sign."""
    text = cell.strip()
    return _DECIMAL.fullmatch(text) is not None or _float(text) is not None


def plain_number(text: str) -> str | None:
    """A finite number as it is written, with a point for its decimal sign; None: there is none."""
    value = _float(text)
    return text if value is not None and math.isfinite(value) else None


def number_of(text: str) -> float:
    """What `plain_number` has found, with all digits that whole numbers have."""
    return int(text) if _WHOLE.fullmatch(text) else float(text)


def whole_number(cell: str) -> int | None:
    """The whole number in a cell, however it is written: 7, 07, +7, 7.0 or 7,0; None: there is none."""
    text = cell.strip()
    value = _float(text.replace(",", ".") if _sign_of(text) else text)
    return int(value) if value is not None and float(value).is_integer() else None


def _float(text: str) -> float | None:
    """The one place that says what a plain number is. Also what is not finite: it is refused for what it is."""
    try:
        value = float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        return None
    return int(value) if value is not None and value.is_integer() and abs(value) < MAX_EXACT else value


def _shown(value: float) -> str:
    return f"{value:.10g}"
