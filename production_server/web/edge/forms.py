"""Reading forms strictly: a damaged one is refused, where Werkzeug would pass over it as if it were empty."""

from __future__ import annotations

import errno
import io
from typing import IO, TYPE_CHECKING, Any

from flask import Request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.formparser import FormDataParser
from werkzeug.sansio.multipart import File

from production_server.errors import Fault, InvalidInput, TooLarge, Unavailable
from production_server.web.edge.multipart import MultipartForm, Writable, pieces, refusing_what_is_damaged

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.formparser import TStreamFactory

MULTIPART = "multipart/form-data"
URL_ENCODED = "application/x-www-form-urlencoded"
MAX_URL_ENCODED_BYTES = 2**20
"""Of a form that is no multipart: each MB takes a third of a second, and whatever is large comes as a part."""
_NO_SPACE = "too much is being uploaded at once: there is no space left for it"


class StrictFormParser(FormDataParser):
    """Werkzeug's parser, with our own for what is multipart, and an error for what is cut off or damaged."""

    def __init__(
        self,
        stream_factory: TStreamFactory | None = None,
        *,
        max_form_memory_size: int,
        max_form_parts: int,
        **options: Any,
    ) -> None:
        """The options are Werkzeug's: a field of a multipart form has `max_form_memory_size` bytes at most."""
        super().__init__(stream_factory, **(options | {"silent": False}))
        self._most_field_bytes = max_form_memory_size
        self._most_parts = max_form_parts

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, Any]]:
        """The stream, fields and files of a form.

        Raises:
            InvalidInput: the form is cut off, damaged, names no boundary, or has a part without a name.
            TooLarge: it has a field that is too long, or too many parts; or it is no multipart, and larger than
                `MAX_URL_ENCODED_BYTES`.
            Unavailable: there is no space left for what is uploaded.
        """
        if mimetype == MULTIPART:
            boundary = (options or {}).get("boundary", "")
            return stream, *self._take_apart(stream, boundary, content_length)
        if mimetype == URL_ENCODED:
            stream = _small(stream)
        with refusing_what_is_damaged():
            found = super().parse(stream, mimetype, content_length, options)
        if not all(found[1]):
            raise InvalidInput.at("form", "a name in each part (name=…)", "a part without one")
        return found

    def _take_apart(
        self, stream: IO[bytes], boundary: str, content_length: int | None
    ) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
        uploads: list[_Upload] = []

        def open_stream(part: File) -> IO[bytes]:
            return self.stream_factory(content_length, part.headers.get("content-type"), part.filename)

        def open_file(part: File) -> Writable:
            uploads.append(upload := _Upload(part, open_stream))
            return upload

        form = MultipartForm(
            boundary, open_file, most_field_bytes=self._most_field_bytes, most_parts=self._most_parts
        )
        try:
            for piece in pieces(stream):
                form.feed(piece)
            form.finish()
        except BaseException as exc:
            for upload in uploads:
                upload.discard()
            if isinstance(exc, OSError) and exc.errno == errno.ENOSPC:
                raise Unavailable(_NO_SPACE) from exc
            raise
        return self.cls(form.fields), self.cls((each.part.name, each.whole()) for each in uploads)


class _Upload:
    """A file of a form. One that came in one piece stays as it came: streams for ten thousand small ones take long."""

    __slots__ = ("_open_stream", "_piece", "_stream", "part")

    def __init__(self, part: File, open_stream: Callable[[File], IO[bytes]]) -> None:
        self.part = part
        self._open_stream = open_stream
        self._piece = b""
        self._stream: IO[bytes] | None = None

    def write(self, data: bytes, /) -> None:
        if self._stream is not None:
            self._stream.write(data)
        elif not self._piece:
            self._piece = data
        else:
            self._stream = self._open_stream(self.part)
            self._stream.write(self._piece + data)
            self._piece = b""

    def close(self) -> None:
        """Whoever has the form closes the file."""

    def whole(self) -> FileStorage:
        """The file, to be read from its beginning."""
        if self._stream is not None:
            self._stream.seek(0)
        stream = self._stream or io.BytesIO(self._piece)
        return FileStorage(stream, self.part.filename, self.part.name, headers=self.part.headers)

    def discard(self) -> None:
        """Nobody will read it."""
        if self._stream is not None:
            self._stream.close()


def _small(stream: IO[bytes]) -> IO[bytes]:
    """All of a form that is no multipart.

    Raises:
        TooLarge: it is larger than `MAX_URL_ENCODED_BYTES`.
    """
    data = _read(stream, MAX_URL_ENCODED_BYTES + 1)
    if len(data) > MAX_URL_ENCODED_BYTES:
        fault = Fault("form", f"at most {MAX_URL_ENCODED_BYTES} bytes, or {MULTIPART}", "more")
        raise TooLarge(f"form: more than {MAX_URL_ENCODED_BYTES} bytes of {URL_ENCODED}", (fault,))
    return io.BytesIO(data)


def _read(stream: IO[bytes], most: int) -> bytes:
    """So many bytes, or all there are. One read may give fewer, and only the next one tells that a limit was met."""
    data = bytearray()
    while len(data) < most and (piece := stream.read(most - len(data))):
        data += piece
    return bytes(data)


def repeated(fields: MultiDict[str, str], files: MultiDict[str, Any]) -> list[Fault]:
    """What comes more than once in a form, where the first would count in silence; only `file` may."""
    given = (*fields.lists(), *(each for each in files.lists() if each[0] != "file"))
    return [Fault(name, "one value", str(len(values))) for name, values in given if len(values) > 1]


class StrictFormRequest(Request):
    """A request whose forms are read strictly."""

    form_data_parser_class = StrictFormParser
