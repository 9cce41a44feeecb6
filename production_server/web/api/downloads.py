"""Tables and documents of any length, streamed as files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import chain

from flask import Response

_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBER = re.compile(r"[-+]\d+(\.\d+)?")
"""A label may be one, such as -1."""


def download(pieces: Iterator[str], mimetype: str, file_name: str) -> Response:
    """A response that browsers store as a file."""
    # The first piece is made before the status is sent, so that a fault still becomes a problem response.
    body = chain([next(pieces)], pieces)
    return Response(
        body, mimetype=mimetype, headers={"Content-Disposition": f'attachment; filename="{file_name}"'}
    )


def csv_line(cells: Sequence[object]) -> str:
    """One line of a table (RFC 4180), in which no text is a formula: names, labels and errors are from outside."""
    buffer = io.StringIO()
    csv.writer(buffer).writerow([inert(cell) if isinstance(cell, str) else cell for cell in cells])
    return buffer.getvalue()


def inert(text: str) -> str:
    """A text that a spreadsheet would take for a formula, as plain text (OWASP, "CSV Injection")."""
    return f"'{text}" if text.startswith(_BEGINS_FORMULA) and not _NUMBER.fullmatch(text) else text
