"""Writes results to a file as they come: CSV or JSON. The file appears when it is complete, never half."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TextIO, TypeVar

from client.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from client.answers import Model, Result

T = TypeVar("T")
_SIGNS = r"=+\-@\uff1d\uff0b\uff0d\uff20"
_PASSED_OVER = r"[^\S\t\r\n]|[\"\0\u200b\ufeff]"
_FORMULA = re.compile(rf"(?:^|(?<=[,;\t\r\n]))(?=(?:{_PASSED_OVER})*[{_SIGNS}\t\r])|^(?=\n)")
"""Where a spreadsheet would see one begin: some part the cells of a file at commas, semicolons or tabs, whatever quotes
say, and pass over quotes and spaces in front of it."""
_IN_JSON = r"(?:-?(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|Infinity)|NaN|null|true|false)"
_NUMBERS = re.compile(rf"[-+](\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|\[+{_IN_JSON}(?:[\[\], ]+{_IN_JSON})*\]+")
"""One, or a list of them. The server has the same rules (`web/api/downloads.py`), which is not imported here."""
RESULT_COLUMNS = ("state", "label", "score", "expected", "outside_training_range", "error", "version")


@dataclass(frozen=True)
class OwnColumns:
    """What the user had, to stand before each result: names, and as many rows as there are results."""

    names: list[str]
    rows: Iterator[list[str]]


class ResultFile(Protocol):
    """Takes what stands beside the results of one job, if something does, then the results, in order."""

    def begin(self, own: OwnColumns | None) -> None: ...

    def write(self, result: Result) -> None: ...


class CsvFile:
    """One line for each result: the user's own columns, then label, score and what else the answer consists of.

    That is a probability for each label, or the best labels with theirs, or a value, or each tensor.
    """

    def __init__(self, file: TextIO, *, model: Model, names: Sequence[str]) -> None:
        self._lines = csv.writer(file, lineterminator="\n")
        self._model = model
        self._answer_columns = model.answer_columns
        self._names = names
        self._rows: Iterator[list[str]] | None = None

    def begin(self, own: OwnColumns | None) -> None:
        """Write the header: the user's columns, else index and name."""
        header = ["index", "name"] if own is None else own.names
        self._rows = None if own is None else own.rows
        self._lines.writerow([*header, *RESULT_COLUMNS, *map(inert, self._answer_columns)])

    def write(self, result: Result) -> None:
        # Rows of a table are the user's own; the rest is from outside, if not from this user.
        own = [result.index, inert(name_of(result, self._names))] if self._rows is None else next(self._rows)
        error = "" if result.error is None else str(result.error)
        outside = " ".join(result.outside_training_range)
        cells = (
            result.state,
            result.label_text,
            result.score,
            result.expected,
            outside,
            error,
            result.version,
        )
        self._lines.writerow([*own, *map(inert, [*cells, *self._answer(result)])])

    def _answer(self, result: Result) -> list[str | float | None]:
        """What belongs into the columns of answers: nothing without a result."""
        cells: list[str | float | None] = []
        if self._model.top is not None:
            cells = [each[what] for each in result.top or () for what in ("label", "score")]
        elif isinstance(result.output, dict):
            cells = [_cell(value) for value in result.output.values()]
        elif result.output is not None:
            cells = [*result.output]
        width = len(self._answer_columns)
        return [*cells, *[None] * width][:width]


def _cell(value: Any) -> str | float | None:
    """A tensor of an item: one value as it is, more as JSON."""
    while isinstance(value, list) and len(value) == 1:
        (value,) = value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def inert(cell: T) -> T | str:
    """A text that a spreadsheet would take for a formula, as plain text (OWASP, "CSV Injection")."""
    return _FORMULA.sub("'", cell) if isinstance(cell, str) and not _NUMBERS.fullmatch(cell) else cell


class JsonFile:
    """An array of results as the server gave them."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._start = "[\n"

    def begin(self, own: OwnColumns | None) -> None:
        """An array needs no header, and a result says what it is of."""

    def write(self, result: Result) -> None:
        self._file.write(self._start + json.dumps(asdict(result), ensure_ascii=False))
        self._start = ",\n"

    def finish(self) -> None:
        """Close the array."""
        self._file.write("[]\n" if self._start == "[\n" else "\n]\n")


def check_name(path: Path) -> None:
    """Accept a name that says which format is wanted.

    Raises:
        InputError: It does not.
    """
    if path.suffix.lower() not in (".csv", ".json"):
        raise InputError(f"{path}: expected a name that ends in .csv or .json")


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """Take bytes for `path`, which replace what was there when the block ends well, and only then.

    Raises:
        InputError: nothing can be written there.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        file = part.open("xb")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def result_file(path: Path, *, model: Model, names: Sequence[str] = ()) -> Iterator[ResultFile]:
    """Take results for `path`, which replaces what was there when the block ends well, and only then.

    `names` are the files that were submitted.

    Raises:
        InputError: The suffix is neither .csv nor .json, or nothing can be written there.
    """
    check_name(path)
    with replaced(path) as binary, io.TextIOWrapper(binary, encoding="utf-8", newline="") as file:
        if path.suffix.lower() == ".csv":
            yield CsvFile(file, model=model, names=names)
        else:
            json_file = JsonFile(file)
            yield json_file
            json_file.finish()


def name_of(result: Result, names: Sequence[str]) -> str:
    """What the user called an input: the path as it was typed, else the name that the server knows."""
    if result.index < len(names):
        return names[result.index]
    return result.name or f"row {result.index + 1}"
