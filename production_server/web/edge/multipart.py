"""Multipart forms, taken apart as they come: fields are in memory, files go where whoever wants them has them go."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Protocol

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from production_server.errors import InvalidInput, TooLarge
from production_server.shown import describe


class Writable(Protocol):
    """Where a file goes."""

    def write(self, data: bytes, /) -> object: ...

    def close(self) -> None: ...


_LONGEST_BOUNDARY = 200
"""RFC 2046, 5.1.1, has 70."""
_MOST_PADDING = 64
"""Bytes around a boundary, of which some may be spaces behind it (RFC 2046, 5.1.1)."""
OpenFile = Callable[[str, str], Writable]
"""Begins a file, by the name of its field and what its sender calls it."""


class MultipartForm:
    """One form. For one thread at a time."""

    def __init__(
        self, content_type: str, open_file: OpenFile, *, most_field_bytes: int, most_parts: int
    ) -> None:
        """`content_type` is the header of the request; whatever `open_file` and its files raise is passed on.

        Raises:
            InvalidInput: the header names no boundary, or one that is too long.
        """
        boundary = parse_options_header(content_type)[1].get("boundary", "")
        if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
            expected = f"a boundary of up to {_LONGEST_BOUNDARY} characters in Content-Type"
            raise InvalidInput.at("form", expected, describe(boundary[:40]))
        self.fields: MultiDict[str, str] = MultiDict()
        self._open_file = open_file
        self._most_field_bytes = most_field_bytes
        self._most_parts = most_parts
        self._open_end = _open_end(boundary.encode())
        self._longest_end = len(boundary) + _MOST_PADDING
        self._held = b""
        self._decoder = MultipartDecoder(boundary.encode(), most_field_bytes, max_parts=most_parts)
        self._name = ""
        self._file: Writable | None = None
        self._field = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what comes next.

        Raises:
            InvalidInput: it is damaged. TooLarge: it has too many parts, or a field that is too long.
        """
        data = self._held + data
        unfinished = self._open_end.search(data, max(0, len(data) - self._longest_end))
        end = len(data) if unfinished is None else unfinished.start()
        self._held = data[end:]
        with self._strictly():
            self._decoder.receive_data(data[:end])
            self._take()

    def finish(self) -> None:
        """There is no more of it.

        Raises:
            InvalidInput: it is cut off.
        """
        with self._strictly():
            self._decoder.receive_data(self._held)
            self._take()
            self._decoder.receive_data(None)
            self._take()

    def close(self) -> None:
        """End the file in hand, if there is one."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _take(self) -> None:
        event = self._decoder.next_event()
        while not isinstance(event, NeedData | Epilogue):
            if isinstance(event, Field | File):
                self._begin(event)
            elif isinstance(event, Data):
                self._go_on(event)
            event = self._decoder.next_event()

    def _begin(self, part: Field | File) -> None:
        # The decoder leaves it out where the header does.
        if not part.name:
            raise InvalidInput.at("form", "a name in each part (name=…)", "a part without one")
        self._name = part.name
        self._field.clear()
        if isinstance(part, File):
            self._file = self._open_file(part.name, part.filename)

    def _go_on(self, event: Data) -> None:
        if self._file is not None:
            self._file.write(event.data)
        else:
            self._field += event.data
            if len(self._field) > self._most_field_bytes:
                raise RequestEntityTooLarge
        if event.more_data:
            return
        if self._file is None:
            self.fields.add(self._name, self._field.decode(errors="replace"))
        self.close()

    @contextlib.contextmanager
    def _strictly(self) -> Iterator[None]:
        try:
            with refusing_what_is_damaged():
                yield
        except RequestEntityTooLarge as exc:
            expected = f"fields of up to {self._most_field_bytes:,} bytes, and up to {self._most_parts} parts"
            raise TooLarge.at("form", expected, "more") from exc


def _open_end(boundary: bytes) -> re.Pattern[bytes]:
    """What is kept for the next piece: a line break at the end, and so much of a boundary as may follow it.

    Where a piece ends within the two bytes behind a boundary, Werkzeug's decoder (3.1) takes the beginning of the line
    break before it for data, and a file would be a byte longer than it was sent.
    """
    rest = rb"[ \t]*[-\r]?"
    for byte in reversed(b"--" + boundary):
        rest = b"(?:" + re.escape(bytes([byte])) + rest + b")?"
    return re.compile(rb"(?:\r\n?|\n)" + rest + rb"\Z")


@contextlib.contextmanager
def refusing_what_is_damaged() -> Iterator[None]:
    """What Werkzeug says of a form that it cannot read, as an error that tells it.

    Raises:
        InvalidInput: it has said so inside the block.
    """
    try:
        yield
    except UnicodeDecodeError as exc:
        expected = "names of fields and files in UTF-8, as browsers send them"
        raise InvalidInput.at("form", expected, _not_utf_8(exc)) from exc
    except ValueError as exc:
        expected = "a whole multipart form with UTF-8 headers"
        raise InvalidInput.at("form", expected, f"a damaged one ({exc})") from exc


def _not_utf_8(error: UnicodeDecodeError) -> str:
    """What a part's header has instead: a name in Latin-1 and a damaged form look alike."""
    line = error.object.decode("latin-1")
    return f"the byte 0x{error.object[error.start]:02x} (another encoding, or damaged): {describe(line)}"
