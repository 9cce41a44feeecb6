"""Multipart forms, taken apart as they come: fields are in memory, files go where whoever wants them has them go."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, Protocol

from werkzeug.datastructures import Headers, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData, State

from production_server.errors import InvalidInput, TooLarge
from production_server.shown import describe


class Writable(Protocol):
    """Where a file goes."""

    def write(self, data: bytes, /) -> object: ...

    def close(self) -> None: ...


OpenFile = Callable[[File], Writable]
"""Begins a file, by the headers of its part, the name of its field and what its sender calls it."""
_PIECE_BYTES = 2**16
_MOST_PADDING = 2**12
"""Spaces behind a boundary (RFC 2046, 5.1.1) that are kept for the next piece."""
_UNFINISHED = re.compile(rb"[^\S\r\n]*(?:-|\r\n?|\n)?")
"""What stands behind a boundary that is not the last one, as far as can be told yet."""
_QUOTED = rb'"([ !#$&-\[\]-~]*)"'
"""Printable ASCII that stands for itself: no quotes, no backslashes, nothing that a percent sign stands for."""
_USUAL_HEAD = re.compile(
    rb"Content-Disposition: (form-data; name=%s; filename=%s)\r\n(?:Content-Type: ([!-:<-~]+)\r\n)?\r\n"
    % (_QUOTED.replace(b"*", b"+"), _QUOTED)
)
"""The headers of a file as browsers, curl, requests and httpx write them."""


class MultipartForm:
    """One form. For one thread at a time."""

    def __init__(self, boundary: str, open_file: OpenFile, *, most_field_bytes: int, most_parts: int) -> None:
        """`boundary` is what Content-Type names; whatever `open_file` and its files raise is passed on.

        Raises:
            InvalidInput: the boundary is empty, or has other characters than printable ones of ASCII.
        """
        with refusing_what_is_damaged():
            if not (boundary and boundary.isascii() and boundary.isprintable()):
                raise ValueError(f"its Content-Type has the boundary {describe(boundary[:40])}")
        self.fields: MultiDict[str, str] = MultiDict()
        self._open_file = open_file
        self._most_field_bytes = most_field_bytes
        self._most_parts = most_parts
        self._delimiter = b"--" + boundary.encode()
        self._usual_end = b"\r\n" + self._delimiter + b"\r\n"
        self._held = b""
        self._decoder = MultipartDecoder(boundary.encode(), most_field_bytes)
        self._parts = 0
        self._name = ""
        self._charset = ""
        self._file: Writable | None = None
        self._field = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what comes next.

        Raises:
            InvalidInput: it is damaged. TooLarge: it has too many parts, or a field that is too long.
        """
        data = self._held + data
        end = _end_of_whole(data, self._delimiter)
        self._held = data[end:]
        with self._strictly():
            if len(self._held) > len(self._delimiter) + _MOST_PADDING:
                raise ValueError(f"more than {_MOST_PADDING:,} spaces behind a boundary")
            start = self._take_usual_files(data[:end])
            self._decoder.receive_data(data[start:end])
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

    def _take_usual_files(self, data: bytes) -> int:
        """Take what there is up to the first boundary, and files behind it that are whole; returns where they end.

        Of small files the decoder takes more time than all else that is done with them. It gets whatever is not as most
        clients write it: these files it would read alike.
        """
        start = data.find(self._usual_end) + len(self._usual_end)
        if start < len(self._usual_end):
            return 0
        self._decoder.receive_data(data[:start])
        self._take()
        if self._decoder.state is not State.PART or self._decoder.buffer:
            return start
        while (head := _USUAL_HEAD.match(data, start)) is not None:
            end = data.find(self._delimiter, head.end()) - 2
            if end < head.end() or not data.startswith(self._usual_end, end):
                break
            self._begin(_usual_file(head))
            self._go_on(Data(data[head.end() : end], more_data=False))
            start = end + len(self._usual_end)
        return start

    def _begin(self, part: Field | File) -> None:
        self._parts += 1
        if self._parts > self._most_parts:
            raise RequestEntityTooLarge
        # The decoder leaves it out where the header does.
        if not part.name:
            raise InvalidInput.at("form", "a name in each part (name=…)", "a part without one")
        if isinstance(part, File):
            self._file = self._open_file(part)
            return
        self._name = part.name
        self._field.clear()
        self._charset = MultiPartParser().get_part_charset(part.headers)

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
            self.fields.add(self._name, self._field.decode(self._charset, "replace"))
        self.close()

    @contextlib.contextmanager
    def _strictly(self) -> Iterator[None]:
        try:
            with refusing_what_is_damaged():
                yield
        except RequestEntityTooLarge as exc:
            expected = f"fields of up to {self._most_field_bytes:,} bytes, and up to {self._most_parts} parts"
            raise TooLarge.at("form", expected, "more") from exc


def pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """All that comes from a stream, in pieces that are as long as it gives them."""
    return iter(partial(stream.read, _PIECE_BYTES), b"")


def _usual_file(head: re.Match[bytes]) -> File:
    disposition, name, filename, content_type = head.groups(b"")
    headers = [("Content-Disposition", disposition.decode())]
    if content_type:
        headers.append(("Content-Type", content_type.decode()))
    return File(name.decode(), filename.decode(), Headers(headers))


def _end_of_whole(data: bytes, delimiter: bytes) -> int:
    """How much of a piece may be decoded: not the line break, and what follows it, that may be part of a boundary.

    Werkzeug's decoder (3.1.9; pallets/werkzeug#3285) reads wrongly what is parted there. Between the two hyphens
    behind the last boundary, the CR before it becomes the end of the file; in spaces behind one, the next part does.
    """
    end = len(data)
    # A line break at the end may end a boundary's line, or stand before the next one's.
    for line_end in (_before_line_break(data, end), end):
        start = _line_start(data, line_end)
        if delimiter.startswith(data[start:]) or _is_delimiter(data[start:], delimiter):
            end = _before_line_break(data, start)
            break
    # What is kept begins with a line break, and that may be the end of another boundary's line.
    while _is_delimiter(data[(start := _line_start(data, end)) : end], delimiter):
        end = _before_line_break(data, start)
    return end


def _is_delimiter(line: bytes, delimiter: bytes) -> bool:
    return line.startswith(delimiter) and _UNFINISHED.fullmatch(line, len(delimiter)) is not None


def _line_start(data: bytes, end: int) -> int:
    return 1 + max(data.rfind(b"\n", 0, end), data.rfind(b"\r", 0, end))


def _before_line_break(data: bytes, end: int) -> int:
    if data.endswith(b"\r\n", 0, end):
        return end - 2
    return end - data.endswith((b"\r", b"\n"), 0, end)


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
