"""CSV tables of many rows for a tabular model: with or without a header, with or without the outcome column.

What is taken and what is refused, and why: docs/tables.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from production_server.errors import MAX_FAULTS, Fault, InvalidInput, TooLarge
from production_server.models.manifest import Manifest
from production_server.models.table_columns import Columns, FirstLine, place
from production_server.models.table_numbers import Numbers, is_plain_number
from production_server.models.table_text import Line, Writing, decode, lines_of, writing_of
from production_server.models.tabular import Row, make_row, number_fault
from production_server.shown import describe


class Truth(Protocol):
    """How the column of what is true is read."""

    def read_truth(self, text: str) -> str | None:
        """What is true of a row; None: that cannot be."""

    @property
    def truth_is_number(self) -> bool:
        """Whether the column holds numbers, written as those of the features are."""

    @property
    def truths(self) -> str:
        """What the column may hold."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a table was read: what finds each of its rows in the same bytes again, without a second guess."""

    writing: Writing
    header: int | None
    """The line that the header begins in, from 1."""
    columns: tuple[str | None, ...]
    """What each column is: a feature's name, that of what is true, or None for one that was passed over."""
    runs: tuple[tuple[int, int], ...]
    """Rows that begin on lines that follow each other: the first one's line, and how many they are."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a CSV; `expected` holds what is true if it had the outcome column (None where a cell is empty)."""

    rows: list[Row]
    expected: list[str | None] | None
    reading: Reading


_COUNTED_ROWS = 3
"""So many rows of which the first column counts, from 0 or 1, may be numbered; of fewer it may be by chance."""


class _Rows:
    """Reads the rows of one table; collects faults by line and column (both from 1) until there are 20."""

    def __init__(self, manifest: Manifest, columns: Columns, numbers: Numbers, truth: Truth) -> None:
        self._manifest = manifest
        self._columns = columns
        self._numbers = numbers
        self._truth = truth
        self.rows: list[Row] = []
        self.expected: list[str | None] = []
        self.runs: list[tuple[int, int]] = []
        self.faults: list[Fault] = []
        self._truths: dict[str, str | None] = {}
        self._has_words = False
        """Whether the last column holds what is no feature: words, or nothing."""

    @property
    def is_full(self) -> bool:
        return len(self.faults) >= MAX_FAULTS

    def take(self, line: int, cells: Sequence[str]) -> None:
        """Check one row and what is true of it."""
        if len(cells) != self._columns.width:
            got = f"a comment: {describe(cells[0])}" if cells[0].startswith("#") else str(len(cells))
            self._fault(line, None, f"{self._columns.width} columns", got)
            return
        before = len(self.faults)
        values = [
            self._value(line, index, cells[column].strip())
            for index, column in enumerate(self._columns.features)
        ]
        self._check_empty(line, cells)
        truth = self._read_truth(line, cells)
        if len(self.faults) == before:
            self.rows.append(make_row(self._manifest, values))
            self.expected.append(truth)
            self._count(line)

    def end(self) -> None:
        """Find fault with what the whole table could not decide."""
        if not self._columns.has_header and self._columns.target is not None and self._may_have_an_index():
            expected = "a header, where the first of one column more than the features counts the rows"
            got = f"no header: an index and {len(self._manifest.features)} features, or these and the outcome"
            self.faults.append(Fault("csv", expected, got))
        names = self._columns.names(self._manifest)
        for each in self._numbers.undecided():
            expected, got = self._numbers.fault_of(each.text) or ("a number", describe(each.text))
            self._fault(each.line, each.column, f"{names[each.column]}: {expected}", got)

    def _may_have_an_index(self) -> bool:
        """Whether the first column may number the rows, and the last one be a feature: then all stand one beside."""
        firsts = [row.values[0] for row in self.rows]
        is_counting = any(firsts == list(range(start, start + len(firsts))) for start in (0, 1))
        return is_counting and len(firsts) >= _COUNTED_ROWS and not self._has_words

    def _value(self, line: int, index: int, text: str) -> float:
        feature, column = self._manifest.features[index], self._columns.features[index]
        value = self._numbers.read(line, column, text)
        fault = number_fault(feature, text if value is None else value, "")
        if fault is None and value is not None:
            return value
        plain = ("a finite number", "text") if fault is None else (fault.expected, fault.got)
        expected, got = (self._numbers.fault_of(text) if value is None else None) or plain
        self._fault(line, column, f"{feature.name}: {expected}", got)
        return 0.0

    def _check_empty(self, line: int, cells: Sequence[str]) -> None:
        for column in self._columns.empty:
            if text := cells[column].strip():
                self._fault(line, column, "nothing below no name", describe(text))

    def _read_truth(self, line: int, cells: Sequence[str]) -> str | None:
        """What is true of a row; None for an empty cell."""
        column = self._columns.target
        text = "" if column is None else cells[column].strip()
        if column is None or not text:
            self._has_words = True
            return None
        if self._truth.truth_is_number:
            return self._read_number(line, column, text)
        # A few texts come again and again.
        if text not in self._truths:
            self._truths[text] = self._truth.read_truth(text)
            self._has_words = self._has_words or not is_plain_number(text)
        truth = self._truths[text]
        if truth is None:
            self._fault_of_truth(line, column, self._truth.truths, text)
        return truth

    def _read_number(self, line: int, column: int, text: str) -> str | None:
        written = self._numbers.plainly(line, column, text)
        truth = None if written is None else self._truth.read_truth(written)
        if truth is None:
            expected, _ = self._numbers.fault_of(text) or (self._truth.truths, "")
            self._fault_of_truth(line, column, expected, text)
        return truth

    def _fault_of_truth(self, line: int, column: int, expected: str, text: str) -> None:
        self._fault(line, column, f"{self._manifest.target}: {expected}", describe(text))

    def _count(self, line: int) -> None:
        first, rows = self.runs[-1] if self.runs else (0, 0)
        if first and first + rows == line:
            self.runs[-1] = (first, rows + 1)
        else:
            self.runs.append((line, 1))

    def _fault(self, line: int, column: int | None, expected: str, got: str) -> None:
        self.faults.append(Fault(place(line, column), expected, got))


def parse_table(manifest: Manifest, data: bytes, *, max_rows: int, truth: Truth) -> Table:
    """Check a CSV file of rows for a tabular model; all of it is accepted or nothing.

    Raises:
        InvalidInput: it is not a table for this model, or can be read in two ways; names the first 20 faults by line
            and column.
        TooLarge: it has more than `max_rows` rows.
    """
    text, encoding = decode(data)
    first_line = FirstLine(manifest)
    writing, said = writing_of(
        text,
        encoding,
        is_known=lambda cell: first_line.is_name(cell) or is_plain_number(cell),
        widths=first_line.widths,
    )
    lines = lines_of(text, writing, after=said)
    first = next(lines, None)
    if first is None:
        raise InvalidInput("csv: the file has no rows", (Fault("csv", "at least one row", "an empty file"),))
    columns = first_line.columns(first)
    if columns is None:
        raise _refusal(manifest, first_line.faults)
    read = _Rows(manifest, columns, Numbers(writing.delimiter), truth)
    rows = lines if columns.has_header else chain([first], lines)
    _read_rows(manifest, read, rows, max_rows=max_rows)
    if not read.rows:
        raise InvalidInput("csv: there is a header and no row", (Fault("csv", "at least one row", "none"),))
    reading = Reading(
        writing, first[0] if columns.has_header else None, columns.names(manifest), tuple(read.runs)
    )
    return Table(read.rows, None if columns.target is None else read.expected, reading)


def _read_rows(manifest: Manifest, read: _Rows, lines: Iterator[Line], *, max_rows: int) -> None:
    for line, cells in lines:
        read.take(line, cells)
        if read.is_full:
            break
        if len(read.rows) > max_rows:
            fault = Fault("csv", f"at most {max_rows} rows", "more")
            raise TooLarge(f"csv: more than {max_rows} rows", (fault,))
    else:
        read.end()
    if read.faults:
        raise _refusal(manifest, read.faults)


def _refusal(manifest: Manifest, faults: Sequence[Fault]) -> InvalidInput:
    return InvalidInput(f"csv: not a table for {manifest.name}; nothing was accepted", tuple(faults))
