"""From the bytes of a CSV to its cells, line by line: encoding, delimiter, quotes. What they mean is not known here."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from production_server.errors import Fault, InvalidInput
from production_server.shown import describe

Line: TypeAlias = tuple[int, list[str]]
"""The line that a row of cells begins in, from 1, and the cells."""

Encoding: TypeAlias = Literal["utf-8", "utf-16"]

DELIMITERS = ",;\t"
STATED_DELIMITERS = DELIMITERS + "|"
"""What a first line `sep=…`, as Excel writes and reads it, may name."""
HEAD_CHARACTERS = 2**16
"""So much is looked at to find out how a table is written."""

MOST_CHARACTERS = 2**19
"""Of a row: each of its cells is looked at, and a million of them take seconds."""
MOST_EMPTY_ROWS = 10**6

# No more of a line than is too much, and never back: a line of 60 MB would keep the interpreter for a second.
_LINE = re.compile(rf"(?=[\s\S])[^\r\n]{{0,{MOST_CHARACTERS + 1}}}+(?:\r\n|\r|\n)?+")
_SEP_LINE = re.compile(r'"?sep=(.)"?(?:\r\n|\r|\n|$)', re.IGNORECASE)
_SPACED_QUOTE = re.compile(r'[,;\t|] +"')
_UTF32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# What people send by mistake: the first bytes, and what they are of.
_OTHER_FILES = (
    (b"PK\x03\x04", "an Excel workbook or another zip file: save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook: save the sheet as CSV"),
    (b"\x1f\x8b", "a gzip file: send what is in it"),
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
)
_UNCLOSED = "unexpected end of data"
_BEHIND_A_QUOTE = "expected after '\"'"
_TOO_LONG = "field larger than field limit"


@dataclass(frozen=True, slots=True)
class Writing:
    """How a table is written: what finds the same cells in the same bytes again."""

    encoding: Encoding
    """A byte order mark does not belong to the text: it may stand before UTF-8, and stands before UTF-16."""
    delimiter: str
    skips_spaces: bool
    """Whether spaces between a delimiter and a cell do not belong to the cell: a quote stands behind such."""


def decode(data: bytes) -> tuple[str, Encoding]:
    """The text of a CSV file, and its encoding.

    Raises:
        InvalidInput: it is neither UTF-8 nor UTF-16 with a byte order mark, or no text.
    """
    for start, kind in _OTHER_FILES:
        if data.startswith(start):
            raise InvalidInput("csv: not a CSV file", (Fault("csv", "a CSV file", kind),))
    is_utf_16 = data.startswith(_UTF16) and not data.startswith(_UTF32)
    encoding: Encoding = "utf-16" if is_utf_16 else "utf-8"
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as exc:
        raise _not_text(data, encoding, exc) from exc
    if "\0" in text:
        got = "zero bytes" + (
            ", as UTF-16 without a byte order mark has" if text.count("\0") * 3 > len(text) else ""
        )
        raise InvalidInput("csv: not text", (Fault("csv", "text", got),))
    return text, encoding


def _not_text(data: bytes, encoding: Encoding, error: UnicodeDecodeError) -> InvalidInput:
    line = data[: error.start].count(b"\n") + 1
    if data.startswith(_UTF32):
        got = "UTF-32"
    elif encoding == "utf-16":
        got = f"UTF-16 that is damaged or cut off ({error.reason})"
    else:
        got = f"the byte 0x{data[error.start]:02x}"
    fault = Fault(f"csv line {line}", "UTF-8 text" if encoding == "utf-8" else "UTF-8 or UTF-16 text", got)
    return InvalidInput("csv: not UTF-8 text", (fault,))


def writing_of(
    text: str, encoding: Encoding, *, is_known: Callable[[str], bool], widths: Collection[int]
) -> tuple[Writing, int]:
    """How a table is written, and how many lines of it only say so.

    `is_known` says of a cell whether it may be one of the first line: a name or a number; `widths` are how many of them
    there may be.

    Raises:
        InvalidInput: two delimiters give two tables, or the first line names one that is none.
    """
    head = text[:HEAD_CHARACTERS]
    skips_spaces = _SPACED_QUOTE.search(head) is not None
    stated = _SEP_LINE.match(text)
    if stated is None:
        delimiter = _delimiter_of(head, skips_spaces=skips_spaces, is_known=is_known, widths=widths)
        return Writing(encoding, delimiter, skips_spaces), 0
    if stated[1] not in STATED_DELIMITERS:
        fault = Fault("csv line 1", "sep= with a comma, a semicolon, a tab or |", describe(stated[1]))
        raise InvalidInput("csv: not a delimiter", (fault,))
    return Writing(encoding, stated[1], skips_spaces), 1


def lines_of(text: str, writing: Writing, *, after: int = 0) -> Iterator[Line]:
    """Rows of cells with their line numbers; lines without anything in them, and the first `after`, are passed over.

    Raises:
        InvalidInput: quotes do not fit together.
    """
    lines = _Lines(text)
    reader = csv.reader(
        lines,
        delimiter=writing.delimiter,
        skipinitialspace=writing.skips_spaces,
        strict=True,
    )
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            raise _not_well_formed(line, str(exc)) from exc
        lines.begin_row()
        if line > after and any(cell.strip() for cell in cells):
            yield line, cells
        else:
            lines.pass_over()


class _Lines:
    """The lines of a text as `csv` wants them, one at a time: `io.StringIO` takes four bytes for each character."""

    def __init__(self, text: str) -> None:
        self._found = _LINE.finditer(text)
        self._characters = 0
        self._empty = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = next(self._found)[0]
        self._characters += len(line)
        if self._characters > MOST_CHARACTERS:
            raise _too_much(f"rows of at most {MOST_CHARACTERS} characters")
        return line

    def begin_row(self) -> None:
        """What follows belongs to another row."""
        self._characters = 0

    def pass_over(self) -> None:
        """A row had nothing in it."""
        self._empty += 1
        if self._empty > MOST_EMPTY_ROWS:
            raise _too_much(f"at most {MOST_EMPTY_ROWS} rows with nothing in them")


def _too_much(expected: str) -> InvalidInput:
    return InvalidInput("csv: not a table that people have", (Fault("csv", expected, "more"),))


def _not_well_formed(line: int, why: str) -> InvalidInput:
    expected, got = "cells as RFC 4180 writes them", why
    if why.startswith(_UNCLOSED):
        got = f"a quote that is opened and not closed ({why})"
    elif why.endswith(_BEHIND_A_QUOTE):
        got = f"something between a closing quote and the next delimiter ({why})"
    elif why.startswith(_TOO_LONG):
        got = f"a cell of more than {csv.field_size_limit()} characters, or a quote that is not closed"
    return InvalidInput("csv: not a well-formed table", (Fault(f"csv line {line}", expected, got),))


def _delimiter_of(
    head: str, *, skips_spaces: bool, is_known: Callable[[str], bool], widths: Collection[int]
) -> str:
    """The delimiter by which the first line is a header or a row; else the one that gives most of such cells."""
    firsts = {each: _first_cells(head, Writing("utf-8", each, skips_spaces)) for each in DELIMITERS}
    fitting: dict[str, list[str]] = {}
    known: dict[str, tuple[int, int]] = {}
    for delimiter, cells in firsts.items():
        filled = [cell for cell in cells if cell.strip()]
        known[delimiter] = (sum(map(is_known, filled)), len(cells))
        if filled and known[delimiter][0] == len(filled) and len(filled) in widths:
            fitting[delimiter] = cells
    readings = list(dict.fromkeys(map(tuple, fitting.values())))
    if len(readings) > 1:
        both = " or ".join(describe(" | ".join(cells)) for cells in readings)
        fault = Fault(
            "csv line 1", "a line that can be read in one way (semicolons between cells, or a header)", both
        )
        raise InvalidInput("csv: a table that can be read in two ways", (fault,))
    return next(iter(fitting)) if fitting else max(known, key=lambda delimiter: known[delimiter])


def _first_cells(head: str, writing: Writing) -> list[str]:
    try:
        return next(lines_of(head, writing), (0, []))[1]
    except InvalidInput:
        return []
