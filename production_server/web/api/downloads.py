"""Tables and documents of any length, streamed as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import chain

from flask import Response


def download(pieces: Iterator[str], mimetype: str, file_name: str) -> Response:
    """A response that browsers store as a file."""
    # The first piece is made before the status is sent, so that a fault still becomes a problem response.
    body = chain([next(pieces)], pieces)
    return Response(
        body, mimetype=mimetype, headers={"Content-Disposition": f'attachment; filename="{file_name}"'}
    )


def csv_line(cells: Sequence[object]) -> str:
    """One line of a table (RFC 4180)."""
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def inert(text: str) -> str:
    """Text from outside that a spreadsheet would take for a formula, as plain text."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
