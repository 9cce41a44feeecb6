"""What a user wants sent: images, rows, chunks of a table, items in JSON; each becomes one message, or more of it."""

from __future__ import annotations

import csv
import io
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.errors import InputError
from client.inputs import ARRAY_SUFFIXES, Files, Items, read_inputs
from client.names import sendable
from client.streams.messages import Outgoing
from client.uploads import Upload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MOST_INPUT_BYTES = 256 * 1024 * 1024
"""One message is read into memory as a whole."""
_ENCODING = "latin-1"
"""Every byte is a character of it and back, so that a table goes as it is."""
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
_OTHER = "application/octet-stream"


@dataclass(frozen=True)
class Payload:
    """What goes into one message."""

    name: str
    value: bytes
    content_type: str

    @property
    def is_json(self) -> bool:
        return self.content_type == "application/json"

    def message(self, asked: Mapping[str, str]) -> Outgoing:
        """A request for it, with a new id; `asked` are model and version."""
        about = {} if self.is_json else {"name": self.name}
        number = str(uuid.uuid4())
        headers = {"id": number, "content-type": self.content_type, **asked, **about}
        return Outgoing(id=number, name=self.name, value=self.value, headers=headers)


class Inputs:
    """Items, rows and files as they were typed after `produce`; can be gone through again and again.

    Raises:
        InputError: It is none of these, or a file cannot be read.
    """

    def __init__(self, arguments: Sequence[str], *, is_recursive: bool) -> None:
        found = read_inputs(arguments, is_recursive=is_recursive)
        self._files: list[Upload] = []
        self._items: list[Any] = []
        if isinstance(found, Files):
            self._files = [Upload(_image(path), part="file") for path in found.paths]
        else:
            self._items = found.items if isinstance(found, Items) else [found]

    def __len__(self) -> int:
        return len(self._files) + len(self._items)

    def __iter__(self) -> Iterator[Payload]:
        for file in self._files:
            kind = file.content_type if file.content_type.startswith("image/") else _OTHER
            yield Payload(file.name, _content(file.path), kind)
        for number, item in enumerate(self._items, start=1):
            yield Payload(f"item {number}", json.dumps({"inputs": [item]}).encode(), "application/json")


class TableRows:
    """A CSV file by its rows, so many in a message, each with the header; how it is to be read the server says.

    `has_header`: None: it has one if no cell of its first line is a number.

    Raises:
        InputError: it cannot be read, or is in an encoding of two bytes a character.
    """

    def __init__(self, path: Path, *, rows: int, has_header: bool | None) -> None:
        self._path, self._rows = path, rows
        self._name = Upload(path, part="csv").name
        with path.open("rb") as file:
            start = file.read(65_536)
        if start.startswith(_BYTE_ORDER_MARKS):
            raise InputError(f"{path}: expected UTF-8, or another encoding of one byte a letter, got UTF-16")
        first = start.decode(_ENCODING).splitlines()[:1]
        self._delimiter = max(",;\t|", key=(first or [""])[0].count)
        cells = next(csv.reader(first, delimiter=self._delimiter), [])
        self._has_header = not any(map(_is_number, cells)) if has_header is None else has_header
        if next(iter(self._records()), None) is None:
            raise InputError(f"{path}: expected rows, got none")

    def __iter__(self) -> Iterator[Payload]:
        held: list[str] = []
        first = number = 0
        for number, record in enumerate(self._records(), start=1):
            held.append(record)
            first = first or number
            if len(held) == self._rows:
                yield self._payload(held, first, number)
                held, first = [], 0
        if held:
            yield self._payload(held, first, number)

    def _payload(self, records: Sequence[str], first: int, last: int) -> Payload:
        rows = f"row {first}" if first == last else f"rows {first} to {last}"
        value = (self._header + "".join(records)).encode(_ENCODING)
        return Payload(f"{self._name} {rows}", value, "text/csv")

    def _records(self) -> Iterator[str]:
        """The rows as they stand, ends of lines and all; sets the header."""
        self._header = ""
        with self._path.open(encoding=_ENCODING, newline="") as file:
            lines = _Lines(file)
            is_first = True
            for cells in csv.reader(lines, delimiter=self._delimiter, strict=False):
                record = lines.take()
                if not record.endswith(("\n", "\r")):
                    record += "\n"
                if is_first and self._has_header:
                    self._header = record
                elif any(map(str.strip, cells)):
                    yield record
                is_first = False


class _Lines:
    """Lines of a file, and those that were read since the last look: a record may have several."""

    def __init__(self, file: io.TextIOBase | Any) -> None:
        self._file = file
        self._read: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self._read.append(line)
            yield line

    def take(self) -> str:
        text = "".join(self._read)
        self._read.clear()
        return text


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().replace(",", "."))
    except ValueError:
        return False
    return True


def _image(path: Path) -> Path:
    suffix = path.suffix.lower()
    if suffix in ARRAY_SUFFIXES:
        raise InputError(
            f"{path}: a stream takes no files of arrays: write its items as a list in a .json file"
        )
    if suffix == ".csv":
        raise InputError(f"{path}: the rows of a table are sent by --csv {path}")
    return path


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MOST_INPUT_BYTES:
        raise InputError(f"{sendable(str(path))}: {size:,} bytes; a message has at most {MOST_INPUT_BYTES:,}")
    return path.read_bytes()
