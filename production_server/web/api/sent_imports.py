"""Files of models on their way in: they are written where imports lie as they come, and are nowhere else before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import request
from werkzeug.datastructures import MultiDict
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import File

from production_server.errors import InvalidInput
from production_server.intake.imports import ImportIntake
from production_server.models.importing.uploads import IncomingFiles, Part
from production_server.settings import Settings
from production_server.shown import describe
from production_server.web.edge.bridge import FORM
from production_server.web.edge.headers import headers_of
from production_server.web.edge.multipart import MultipartForm, Writable, pieces
from production_server.web.edge.parts import current_parts

PATHS = frozenset(("/api/models", "/imports"))
"""Where they come by POST."""
FILES: Mapping[str, Part] = {"file": "model", "weights": "weights", "sample": "sample"}
"""The files of a form, and what of an import each is."""
MOST_FIELD_BYTES = 2 * 2**20
MOST_PARTS = 200


class SentForm:
    """A form with files of an import. Whoever has it closes it."""

    def __init__(self, content_type: str, files: IncomingFiles) -> None:
        self.files = files
        boundary = parse_options_header(content_type)[1].get("boundary", "")
        self._form = MultipartForm(
            boundary, self._open, most_field_bytes=MOST_FIELD_BYTES, most_parts=MOST_PARTS
        )

    @property
    def fields(self) -> MultiDict[str, str]:
        """All that are no files."""
        return self._form.fields

    def feed(self, data: bytes) -> None:
        """Take what comes next, and write what of it belongs to a file.

        Raises:
            InvalidInput, TooLarge: something about the form is wrong. StoreNotWritable: the files find no place.
        """
        self._form.feed(data)

    def finish(self) -> None:
        """There is no more of it.

        Raises:
            InvalidInput: it is cut off, or has a text where a file was expected.
        """
        self._form.finish()
        for name in FILES:
            if name in self.fields:
                expected = f"a file, a part with a file name (curl: -F {name}=@FILE)"
                raise InvalidInput.at(name, expected, f"a text: {describe(self.fields[name])}")

    def close(self) -> None:
        """Remove the files that nobody has kept."""
        self._form.close()
        self.files.close()

    def _open(self, sent: File) -> Writable:
        field, filename = sent.name, sent.filename
        part = FILES.get(field)
        if part is None:
            raise InvalidInput.at("form", f"files as {', '.join(FILES)}", describe(field))
        if not filename:
            return _Nowhere()
        if part in self.files.names:
            raise InvalidInput.at(field, "one file", "2")
        return self.files.open(part, filename, field=field)


class _Nowhere:
    """A file that nobody has chosen: browsers send its part all the same."""

    def write(self, _data: bytes, /) -> None:
        """Pass over it."""

    def close(self) -> None:
        """Nothing is open."""


def most_bytes(settings: Settings) -> int:
    """The largest form: one file of the largest size, and beside it as much as any other request may bring."""
    return settings.import_file_bytes + settings.max_body_bytes


def is_sent_with(scope: Mapping[str, Any]) -> bool:
    """Whether the request with this ASGI scope brings such a form. A compressed one is as any other body."""
    if scope["method"] != "POST" or scope["path"] not in PATHS:
        return False
    headers = headers_of(scope)
    is_form = headers.get("content-type", "").lower().startswith("multipart/form-data")
    return is_form and "content-encoding" not in headers


def begin_form(intake: ImportIntake, scope: Mapping[str, Any]) -> SentForm:
    """The form that is about to come.

    Raises:
        InvalidInput: its header names no boundary.
    """
    return SentForm(headers_of(scope)["content-type"], intake.incoming())


@contextmanager
def sent_form() -> Iterator[SentForm]:
    """The form of the request, whole; at the end of the block its files are gone, unless somebody has kept them.

    Raises:
        InvalidInput, TooLarge, RequestEntityTooLarge: something about it is wrong.
        StoreNotWritable: its files find no place.
    """
    if request.mimetype != "multipart/form-data":
        got = request.mimetype or "no Content-Type"
        raise InvalidInput(f"expected multipart/form-data, got {got}", code="unsupported_media_type")
    came: SentForm | None = request.environ.get(FORM)
    form = came or SentForm(request.content_type or "", current_parts().imports.incoming())
    try:
        if came is None:
            _read_into(form)
        yield form
    finally:
        form.close()


def _read_into(form: SentForm) -> None:
    """A small form, or a compressed one, has come whole before."""
    request.max_content_length = most_bytes(current_parts().settings)
    for piece in pieces(request.stream):
        form.feed(piece)
    form.finish()
