"""Reading forms strictly: a damaged one is refused, where Werkzeug would pass over it as if it were empty."""

from __future__ import annotations

import errno
from typing import IO, Any

from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.formparser import FormDataParser

from production_server.errors import InvalidInput, Unavailable


class StrictFormParser(FormDataParser):
    """Werkzeug's parser, with an error for what is cut off or damaged."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **(options | {"silent": False}))

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, Any]]:
        """The stream, fields and files of a form.

        Raises:
            InvalidInput: the form is cut off, damaged, or names no boundary.
            Unavailable: there is no space left for what is uploaded.
        """
        try:
            return super().parse(stream, mimetype, content_length, options)
        except ValueError as exc:
            raise InvalidInput.at(
                "form", "a whole multipart form with UTF-8 headers", f"a damaged one ({exc})"
            ) from exc
        except OSError as exc:
            if exc.errno != errno.ENOSPC:
                raise
            raise Unavailable("too much is being uploaded at once: there is no space left for it") from exc


class StrictFormRequest(Request):
    """A request whose forms are read strictly."""

    form_data_parser_class = StrictFormParser
