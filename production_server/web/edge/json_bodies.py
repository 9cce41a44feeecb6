"""JSON that a request brings, for calls and for Flask: read by one reader, refused in the same words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from production_server.errors import Fault, InvalidInput
from production_server.json_document import JSON, NotJson, read_json

CODE = "malformed_json"
_CHARSET = re.compile(r'charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)
_LIKE_UTF_8 = {"utf-8", "utf8", "us-ascii", "ascii"}


def json_of(data: bytes, what: str, *, field: str = "body") -> Any:
    """The value of a document, which is called `what`; faults in it name the `field`.

    Raises:
        InvalidInput: it is none (code `malformed_json`). TooLarge: reading it would take too much memory.
    """
    with refusing_what_is_no_json(what, field=field):
        return read_json(data)


@contextmanager
def refusing_what_is_no_json(what: str, *, field: str = "body") -> Iterator[None]:
    """While a document, which is called `what`, is read; faults in it name the `field`.

    Raises:
        InvalidInput: it is none (code `malformed_json`).
    """
    try:
        yield
    except NotJson as exc:
        fault = Fault(exc.where or field, exc.expected, exc.got)
        raise InvalidInput(_detail(exc, fault, what), (fault,), code=CODE) from exc


def _detail(error: NotJson, fault: Fault, what: str) -> str:
    if error.where:
        return f"{what} is not JSON: {fault}"
    return f"{what} is not JSON: {error.got}" if error.expected == JSON else str(fault)


def check_charset(content_type: str, data: bytes) -> None:
    """Refuse what would be another text if its Content-Type were right: JSON is UTF-8 (RFC 8259, section 8.1).

    Raises:
        InvalidInput: another charset is named, and there are characters beside ASCII's.
    """
    named = _CHARSET.search(content_type)
    if named and named[1].lower() not in _LIKE_UTF_8 and not data.isascii():
        raise InvalidInput(
            f"Content-Type: expected JSON in UTF-8, got charset={named[1][:40]}",
            code="unsupported_media_type",
        )
