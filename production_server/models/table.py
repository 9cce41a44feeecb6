"""CSV tables of many rows for a tabular model: with or without a header, with or without the outcome column."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from production_server.errors import MAX_FAULTS, Fault, InvalidInput, TooLarge
from production_server.models.manifest import Feature, Manifest
from production_server.models.tabular import Row, make_row, number_fault
from production_server.shown import describe

DELIMITERS = ",;\t"
TARGET_NAMES = frozenset({"target", "outcome", "label", "class"})


class Truth(Protocol):
    """How the column of what is true is read."""

    def read_truth(self, text: str) -> str | None:
        """What is true of a row; None: that cannot be."""

    @property
    def truths(self) -> str:
        """What the column may hold."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a CSV; `expected` holds what is true if it had the outcome column (None where a cell is empty)."""

    rows: list[Row]
    expected: list[str | None] | None


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which column holds which feature, and which the outcome."""

    columns: tuple[int, ...]
    target: int | None
    width: int


class _Reader:
    """Reads one table; collects faults by line and column (both from 1) until there are 20."""

    def __init__(self, manifest: Manifest, delimiter: str, truth: Truth) -> None:
        self.manifest = manifest
        self.truth = truth
        self.delimiter = delimiter
        self.faults: list[Fault] = []

    @property
    def is_full(self) -> bool:
        return len(self.faults) >= MAX_FAULTS

    def fault(self, line: int, column: int | None, expected: str, got: str) -> None:
        where = f"csv line {line}" + ("" if column is None else f", column {column + 1}")
        self.faults.append(Fault(where, expected, got))

    def layout(self, line: int, cells: Sequence[str]) -> tuple[_Layout | None, bool]:
        """The table's layout, and whether this first row is a header."""
        if all(self.number(cell) is not None for cell in cells[: len(self.manifest.features)]):
            return self._layout_without_header(line, cells), False
        return self._layout_from_header(line, cells), True

    def _layout_without_header(self, line: int, cells: Sequence[str]) -> _Layout | None:
        count = len(self.manifest.features)
        if len(cells) not in (count, count + 1):
            names = ", ".join(feature.name for feature in self.manifest.features)
            self.fault(
                line, None, f"{count} columns ({names}), or one more with the outcome", f"{len(cells)}"
            )
            return None
        return _Layout(tuple(range(count)), count if len(cells) > count else None, len(cells))

    def _layout_from_header(self, line: int, cells: Sequence[str]) -> _Layout | None:
        known = {name: i for i, f in enumerate(self.manifest.features) for name in _names_of(f)}
        targets = TARGET_NAMES | {self.manifest.target.lower()}
        places: dict[int, int] = {}
        target: int | None = None
        for column, cell in enumerate(cells):
            if self.is_full:
                return None
            name = cell.strip().lower()
            if name in known and known[name] not in places:
                places[known[name]] = column
            elif name in targets and name not in known and target is None:
                target = column
            else:
                expected = (
                    "a name that comes once" if name in known or name in targets else "a feature's name"
                )
                self.fault(line, column, expected, describe(cell.strip()))
        for i, feature in enumerate(self.manifest.features):
            if i not in places:
                self.fault(line, None, f"a column {feature.name}", "none")
        if self.faults:
            return None
        return _Layout(tuple(places[i] for i in range(len(places))), target, len(cells))

    def row(self, line: int, cells: Sequence[str], layout: _Layout) -> Row | None:
        """One checked row, or None after its faults were noted."""
        if len(cells) != layout.width:
            self.fault(line, None, f"{layout.width} columns", str(len(cells)))
            return None
        before, values = len(self.faults), []
        for feature, column in zip(self.manifest.features, layout.columns, strict=True):
            value = self.number(cells[column])
            fault = number_fault(feature, cells[column].strip() if value is None else value, "")
            if fault is not None or value is None:
                expected = fault.expected if fault else "a finite number"
                self.fault(line, column, f"{feature.name}: {expected}", fault.got if fault else "text")
            else:
                values.append(value)
        return make_row(self.manifest, values) if len(self.faults) == before else None

    def expected(self, line: int, cells: Sequence[str], layout: _Layout) -> str | None:
        """What is true of a row; None for an empty cell."""
        if layout.target is None or layout.target >= len(cells):
            return None
        text = cells[layout.target].strip()
        if not text:
            return None
        truth = self.truth.read_truth(text)
        if truth is None:
            expected = f"{self.manifest.target}: {self.truth.truths}"
            self.fault(line, layout.target, expected, describe(text))
        return truth

    def number(self, cell: str) -> float | None:
        """The number in a cell, or None. Where semicolons part the cells, a comma may be the decimal sign."""
        text = cell.strip()
        if self.delimiter == ";" and text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")
        try:
            value = float(text) if "_" not in text else None
        except ValueError:
            return None
        return int(value) if value is not None and value.is_integer() and abs(value) < 2**53 else value


def parse_table(manifest: Manifest, data: bytes, *, max_rows: int, truth: Truth) -> Table:
    """Check a CSV file of rows for a tabular model; all of it is accepted or nothing.

    Takes a byte order mark, Windows line ends, and commas, semicolons or tabs between cells.

    Raises:
        InvalidInput: it is not a table for this model; names the first 20 faults by line and column.
        TooLarge: it has more than `max_rows` rows.
    """
    text = _decode(data)
    reader = _Reader(manifest, _delimiter_of(text, manifest), truth)
    lines = _lines(text, reader.delimiter)
    first = next(lines, None)
    if first is None:
        raise InvalidInput("csv: the file has no rows", (Fault("csv", "at least one row", "an empty file"),))
    layout, has_header = reader.layout(*first)
    if layout is None:
        raise _refusal(reader)
    rows, expected = _read_rows(reader, layout, lines if has_header else _chain(first, lines), max_rows)
    if reader.faults:
        raise _refusal(reader)
    if not rows:
        raise InvalidInput("csv: there is a header and no row", (Fault("csv", "at least one row", "none"),))
    return Table(rows, expected if layout.target is not None else None)


def _read_rows(
    reader: _Reader, layout: _Layout, lines: Iterator[tuple[int, list[str]]], max_rows: int
) -> tuple[list[Row], list[str | None]]:
    """All rows and what is true of them, until there are too many faults or rows."""
    rows: list[Row] = []
    expected: list[str | None] = []
    for line, cells in lines:
        row, truth = reader.row(line, cells, layout), reader.expected(line, cells, layout)
        if reader.is_full:
            break
        if row is not None:
            rows.append(row)
            expected.append(truth)
        if len(rows) > max_rows:
            fault = Fault("csv", f"at most {max_rows} rows", "more")
            raise TooLarge(f"csv: more than {max_rows} rows", (fault,))
    return rows, expected


def _refusal(reader: _Reader) -> InvalidInput:
    detail = f"csv: not a table for {reader.manifest.name}; nothing was accepted"
    return InvalidInput(detail, tuple(reader.faults))


def _names_of(feature: Feature) -> set[str]:
    return {name.lower() for name in (feature.name, feature.label, *feature.aliases)}


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        got = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else f"the byte 0x{data[exc.start]:02x}"
        line = data[: exc.start].count(b"\n") + 1
        raise InvalidInput("csv: not UTF-8 text", (Fault(f"csv line {line}", "UTF-8 text", got),)) from exc
    if "\0" in text:
        raise InvalidInput("csv: not text", (Fault("csv", "text", "zero bytes"),))
    return text


def _delimiter_of(text: str, manifest: Manifest) -> str:
    """The delimiter that parts the first line into the expected number of cells, else the most frequent one."""
    first = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    counts = {delimiter: first.count(delimiter) + 1 for delimiter in DELIMITERS}
    wanted = (len(manifest.features), len(manifest.features) + 1)
    fitting = [delimiter for delimiter, count in counts.items() if count in wanted]
    # A European "33,6;0,627" line has commas too: a semicolon or tab that fits is never a decimal sign.
    return fitting[-1] if fitting else max(counts, key=lambda delimiter: counts[delimiter])


def _lines(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with their line numbers; empty lines are passed over."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            fault = Fault(f"csv line {max(line, reader.line_num)}", "cells as RFC 4180 writes them", str(exc))
            raise InvalidInput("csv: not a well-formed table", (fault,)) from exc
        if any(cell.strip() for cell in cells):
            yield line, cells


def _chain(
    first: tuple[int, list[str]], rest: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    yield first
    yield from rest
