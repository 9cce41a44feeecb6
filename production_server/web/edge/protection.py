"""Headers by which browsers, and caches on the way, protect who uses this service."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from production_server.web.edge.sites import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from production_server.web.edge.headers import Headers

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
HSTS = "max-age=31536000"
"""Browsers come to this host by https alone for a year (RFC 6797). Its subdomains may be anybody's."""
TO_BE_ASKED_AGAIN = MappingProxyType(
    {"Cache-Control": "private, no-cache", "Vary": "Cookie, Authorization, X-API-Key"}
)
"""Of what a browser may keep, and show again after it has asked: what belongs to a client no cache between may keep."""
KEPT_FOR_GOOD = MappingProxyType(
    {**TO_BE_ASKED_AGAIN, "Cache-Control": "private, max-age=31536000, immutable"}
)
"""Of what never changes. Whoever has logged out, or in as somebody else, brings another cookie: a browser asks then."""
_PLAIN = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        # What says nothing else may be somebody's, and is nobody's to keep.
        "Cache-Control": "private, no-store",
    }
)
_SECURE = MappingProxyType({**_PLAIN, "Strict-Transport-Security": HSTS})


_LINES = {
    id(usual): b"".join(
        b"%b: %b\r\n" % (name.lower().encode(), value.encode()) for name, value in usual.items()
    )
    for usual in (_PLAIN, _SECURE)
}


def usual_lines(scheme: str, headers: Headers) -> bytes:
    """The same as lines of a head, which are written once."""
    return _LINES[id(usual_headers(scheme, headers))]


def usual_headers(scheme: str, headers: Headers) -> Mapping[str, str]:
    """What every answer has that says nothing else; by https it tells browsers to come by nothing else.

    Not to localhost: HSTS holds for all ports of a host, and what else a developer has there speaks http.
    """
    is_meant = scheme == "https" and name_of(headers.get("host") or "") != "localhost"
    return _SECURE if is_meant else _PLAIN
