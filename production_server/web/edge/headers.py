"""The headers of a request, read alike for calls and for Flask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

STICKY_HEADER = "X-Celeriac-Sticky"
"""Of a request: a text that is the same in those that want the same version, while a canary is tried."""
VERSION_HEADER = "X-Celeriac-Version"
"""Of an answer to a call: the version that it is from."""


class Headers(Protocol):
    """The headers of a request; names are given in lower case."""

    def get(self, name: str, /) -> str | None: ...


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """The headers of an ASGI scope, by their names in lower case; what comes twice is one line (RFC 9110, 5.3).

    White space around a value is no part of it (5.5); the parser leaves what is behind it.
    """
    lines = scope["headers"]
    headers = {name.decode("latin-1"): value.decode("latin-1").strip(" \t") for name, value in lines}
    # Nearly never, and each call pays for this.
    return headers if len(headers) == len(lines) else _joined(lines)


def _joined(lines: list[tuple[bytes, bytes]]) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in lines:
        values.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1").strip(" \t"))
    return {name: ("; " if name == "cookie" else ",").join(several) for name, several in values.items()}
