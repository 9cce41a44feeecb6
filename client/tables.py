"""The CSV file of a table, to put results beside its rows. How it is read the server says: nothing is guessed here."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from client.answers import TableReading

CODECS = {"utf-8": "utf-8-sig"}
"""Python's names of encodings that a byte order mark may stand in front of, where they are others."""


class Table:
    """A CSV as the user wrote it, on its way to the server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._was = self._state()

    def is_as_sent(self) -> bool:
        """Whether the file is still the one that was submitted."""
        return self._state() == self._was

    def header(self, reading: TableReading) -> list[str]:
        """The names of the columns: the user's own, else what the server takes them for."""
        if reading.header is not None:
            for line, cells in self._lines(reading):
                if line == reading.header:
                    return [cell.strip() for cell in cells]
        return [name or "" for name in reading.columns]

    def rows(self, reading: TableReading) -> Iterator[list[str]]:
        """The rows without the header, read anew at each call."""
        lines = self._lines(reading)
        for first, count in reading.rows:
            for line, cells in lines:
                if line >= first:
                    yield cells
                if line >= first + count - 1:
                    break

    def _lines(self, reading: TableReading) -> Iterator[tuple[int, list[str]]]:
        """All that the file has, with the lines that it begins in."""
        encoding = CODECS.get(reading.encoding, reading.encoding)
        with self.path.open(encoding=encoding, errors="replace", newline="") as file:
            lines = csv.reader(file, delimiter=reading.delimiter, skipinitialspace=reading.skips_spaces)
            line = 1
            for cells in lines:
                yield line, cells
                line = lines.line_num + 1

    def _state(self) -> tuple[int, int]:
        state = self.path.stat()
        return state.st_size, state.st_mtime_ns
