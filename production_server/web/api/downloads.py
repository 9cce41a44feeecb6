"""Tables and documents of any length, streamed as files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import AnyStr

from flask import Response

from production_server.access.known_keys import KnownKeys
from production_server.access.records import Client
from production_server.errors import Unauthorized
from production_server.web.edge.flask_door import asking_client
from production_server.web.edge.parts import current_parts

_SIGNS = r"=+\-@\uff1d\uff0b\uff0d\uff20"
_PASSED_OVER = r"[^\S\t\r\n]|[\"\0\u200b\ufeff]"
_FORMULA = re.compile(rf"(?:^|(?<=[,;\t\r\n]))(?=(?:{_PASSED_OVER})*[{_SIGNS}\t\r])|^(?=\n)")
"""Where a spreadsheet would see one begin: some part the cells of a file at commas, semicolons or tabs, whatever quotes
say, and pass over quotes and spaces in front of it."""
_IN_JSON = r"(?:-?(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|Infinity)|NaN|null|true|false)"
_NUMBERS = re.compile(rf"[-+](\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|\[+{_IN_JSON}(?:[\[\], ]+{_IN_JSON})*\]+")
"""A label may be one, such as -1, and a tensor a list of them. The client has the same rules (`client/files.py`)."""


def download(pieces: Iterator[AnyStr], mimetype: str, file_name: str) -> Response:
    """A response that browsers store as a file; it ends with the key of who asked for it."""
    # The first piece is made before the status is sent, so that a fault still becomes a problem response.
    body = chain([next(pieces)], _while_let_in(pieces, asking_client(), current_parts().keys))
    return Response(
        body, mimetype=mimetype, headers={"Content-Disposition": f'attachment; filename="{file_name}"'}
    )


def _while_let_in(pieces: Iterator[AnyStr], client: Client, keys: KnownKeys) -> Iterator[AnyStr]:
    for piece in pieces:
        if not keys.still_hold(client):
            raise Unauthorized("the key, or session, of a download is over")
        yield piece


def csv_line(cells: Sequence[object]) -> str:
    """One line of a table (RFC 4180), in which no text is a formula: names, labels and errors are from outside."""
    buffer = io.StringIO()
    csv.writer(buffer).writerow([inert(cell) if isinstance(cell, str) else cell for cell in cells])
    return buffer.getvalue()


def inert(text: str) -> str:
    """A text that a spreadsheet would take for a formula, as plain text (OWASP, "CSV Injection")."""
    return text if _NUMBERS.fullmatch(text) else _FORMULA.sub("'", text)
