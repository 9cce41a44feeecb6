"""Reading forms strictly: a damaged one is refused, where Werkzeug would pass over it as if it were empty."""

from __future__ import annotations

import errno
import io
from typing import IO, TYPE_CHECKING, Any

from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.formparser import FormDataParser, default_stream_factory

from production_server.errors import Fault, InvalidInput, TooLarge, Unavailable
from production_server.web.edge.multipart import refusing_what_is_damaged

if TYPE_CHECKING:
    from werkzeug.formparser import TStreamFactory

URL_ENCODED = "application/x-www-form-urlencoded"
MAX_URL_ENCODED_BYTES = 2**20
"""Of a form that is no multipart: each MB takes a third of a second, and whatever is large comes as a part."""


class StrictFormParser(FormDataParser):
    """Werkzeug's parser, with an error for what is cut off or damaged; what it has of the files then goes at once."""

    def __init__(self, *, stream_factory: TStreamFactory | None = None, **options: Any) -> None:
        self._open_file = stream_factory or default_stream_factory
        self._files: list[IO[bytes]] = []
        super().__init__(self._file, **(options | {"silent": False}))

    def _file(self, *about: Any, **more: Any) -> IO[bytes]:
        file = self._open_file(*about, **more)
        self._files.append(file)
        return file

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
            TooLarge: it is no multipart, and larger than `MAX_URL_ENCODED_BYTES`.
            Unavailable: there is no space left for what is uploaded.
        """
        if mimetype == URL_ENCODED:
            data = _read(stream, MAX_URL_ENCODED_BYTES + 1)
            if len(data) > MAX_URL_ENCODED_BYTES:
                fault = Fault(
                    "form", f"at most {MAX_URL_ENCODED_BYTES} bytes, or multipart/form-data", "more"
                )
                raise TooLarge(f"form: more than {MAX_URL_ENCODED_BYTES} bytes of {URL_ENCODED}", (fault,))
            stream, content_length = io.BytesIO(data), len(data)
        try:
            with refusing_what_is_damaged():
                return self._parse(stream, mimetype, content_length, options)
        except OSError as exc:
            if exc.errno != errno.ENOSPC:
                raise
            raise Unavailable("too much is being uploaded at once: there is no space left for it") from exc

    def _parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, Any]]:
        try:
            found = super().parse(stream, mimetype, content_length, options)
        except BaseException:
            self._close()
            raise
        _, fields, files = found
        if not all((*fields, *files)):
            self._close()
            raise InvalidInput.at("form", "a name in each part (name=…)", "a part without one")
        return found

    def _close(self) -> None:
        for file in self._files:
            file.close()


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
