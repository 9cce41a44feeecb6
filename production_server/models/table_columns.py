"""Which column of a table holds what, as its first line says: a header, or a row with the features in their order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from production_server.errors import MAX_FAULTS, Fault
from production_server.models.manifest import Feature, Manifest
from production_server.models.table_numbers import is_like_a_number, whole_number
from production_server.models.table_text import Line
from production_server.shown import describe

TARGET_NAMES = frozenset({"target", "outcome", "label", "class"})

_UNNAMED = re.compile(r"(?:unnamed: [0-9]+)?", re.IGNORECASE)
"""How pandas calls a column that has no name, when it writes a table again."""
_MANY_COLUMNS = 5
"""Whole numbers that only rise or only fall over so many columns are no measurements; over fewer they may well be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns of a table are."""

    has_header: bool
    features: tuple[int, ...]
    """Where each feature stands, in the order of the manifest."""
    target: int | None
    empty: tuple[int, ...]
    """Those without a name at the end of the lines, where a delimiter is: nothing may be in them."""
    width: int

    def names(self, manifest: Manifest) -> tuple[str | None, ...]:
        """What each column is to the model: a feature, what is true, or None for one that is passed over."""
        names: list[str | None] = [None] * self.width
        for feature, column in zip(manifest.features, self.features, strict=True):
            names[column] = feature.name
        if self.target is not None:
            names[self.target] = manifest.target
        return tuple(names)


def names_of(feature: Feature) -> set[str]:
    """What a feature's column may be called, in small letters."""
    return {name.lower() for name in (feature.name, feature.label, *feature.aliases)}


class FirstLine:
    """Reads the first line of a table that has something in it; `faults` says why it is none."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._features = {name: i for i, each in enumerate(manifest.features) for name in names_of(each)}
        self._targets = (TARGET_NAMES | {manifest.target.lower()}) - self._features.keys()
        self._count = len(manifest.features)
        self.faults: list[Fault] = []

    @property
    def widths(self) -> tuple[int, ...]:
        """How many cells with something in them it may have."""
        return self._count, self._count + 1

    def is_name(self, cell: str) -> bool:
        """Whether a cell names a column that the model has."""
        name = cell.strip().lower()
        return name in self._features or name in self._targets

    def columns(self, first: Line) -> Columns | None:
        """What the columns are; None where the line is neither a header nor a row, or might be either."""
        line, cells = first
        if fault := self._no_table(cells) or self._either(cells):
            self._note(line, None, *fault)
            return None
        if any(map(self.is_name, cells)) or not any(map(is_like_a_number, cells)):
            return self._from_header(line, cells)
        return self._without_header(line, cells)

    def _no_table(self, cells: Sequence[str]) -> tuple[str, str] | None:
        filled = _filled(cells)
        if filled[0].startswith("#") and not self.is_name(filled[0]):
            return "a header or a row", f"a comment: {describe(filled[0])}"
        if len(filled) == 1 and self._count > 1 and not self.is_name(filled[0]):
            expected = (
                f"{self._count} columns ({self._all_names}) with commas, semicolons or tabs between them"
            )
            return expected, f"one: {describe(filled[0])}"
        return None

    def _either(self, cells: Sequence[str]) -> tuple[str, str] | None:
        """0, 1, 2, … is what a DataFrame without names has for a header, and it may be a row."""
        filled = _filled(cells)
        if not self._may_be_numbered(filled) or all(map(self.is_name, filled)):
            return None
        expected = f"a first line that is a header with the names of the columns ({self._all_names}), or clearly a row"
        return expected, f"{_in_short(filled)}: a header of numbers, or a row"

    def _may_be_numbered(self, filled: Sequence[str]) -> bool:
        """Whether the cells may number the columns, however the numbers are written."""
        numbers = [number for cell in filled if (number := whole_number(cell)) is not None]
        if len(numbers) < len(filled) or len(numbers) not in self.widths:
            return False
        if self._count == 1:
            return numbers == list(range(len(numbers)))
        steps = {after - before for before, after in pairwise(numbers)}
        if len(numbers) < _MANY_COLUMNS:
            return steps in ({1}, {-1})
        return min(steps) > 0 or max(steps) < 0

    def _from_header(self, line: int, cells: Sequence[str]) -> Columns | None:
        places: dict[int, int] = {}
        target: int | None = None
        start, end = _named(cells)
        for column in range(start, end):
            name = cells[column].strip().lower()
            if name in self._features and self._features[name] not in places:
                places[self._features[name]] = column
            elif name in self._targets and target is None:
                target = column
            else:
                self._note(line, column, self._expected(name), describe(cells[column].strip()))
            if len(self.faults) >= MAX_FAULTS:
                return None
        for i, feature in enumerate(self._manifest.features):
            if i not in places:
                self._note(line, None, f"a column {feature.name}", "none")
        if self.faults:
            return None
        features = tuple(places[i] for i in range(self._count))
        empty = tuple(range(end, len(cells)))
        return Columns(has_header=True, features=features, target=target, empty=empty, width=len(cells))

    def _expected(self, name: str) -> str:
        return "a name that comes once" if self.is_name(name) else "a feature's name"

    def _without_header(self, line: int, cells: Sequence[str]) -> Columns | None:
        count, width = self._count, len(cells)
        filled = max((column for column, cell in enumerate(cells) if cell.strip()), default=-1) + 1
        if width < count or filled > count + 1:
            expected = f"{count} columns ({self._all_names}), or one more with the outcome"
            self._note(line, None, expected, f"{filled if width > count else width}")
            return None
        target = count if width > count else None
        features, empty = tuple(range(count)), tuple(range(count + 1, width))
        return Columns(has_header=False, features=features, target=target, empty=empty, width=width)

    def _note(self, line: int, column: int | None, expected: str, got: str) -> None:
        self.faults.append(Fault(place(line, column), expected, got))

    @property
    def _all_names(self) -> str:
        return ", ".join(feature.name for feature in self._manifest.features)


def _named(cells: Sequence[str]) -> tuple[int, int]:
    """From which column on, and up to which, a header's have names; what numbers the rows stands first, without one."""
    is_named = [_UNNAMED.fullmatch(cell.strip()) is None for cell in cells]
    if not any(is_named):
        return 0, len(cells)
    first = is_named.index(True)
    return (1 if first == 1 else 0), len(is_named) - is_named[::-1].index(True)


def place(line: int, column: int | None = None) -> str:
    """A place in a table as faults name it; `column` is counted from 0."""
    return f"csv line {line}" + ("" if column is None else f", column {column + 1}")


def _filled(cells: Iterable[str]) -> list[str]:
    return [text for cell in cells if (text := cell.strip())]


def _in_short(numbers: Sequence[str]) -> str:
    return ", ".join(numbers) if len(numbers) <= 3 else f"{numbers[0]}, {numbers[1]}, … {numbers[-1]}"
