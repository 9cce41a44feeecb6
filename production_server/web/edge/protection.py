"""Headers by which browsers protect who uses this service."""

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
_PLAIN = MappingProxyType({"X-Content-Type-Options": "nosniff"})
_SECURE = MappingProxyType({**_PLAIN, "Strict-Transport-Security": HSTS})


def transport_headers(scheme: str, headers: Headers) -> Mapping[str, str]:
    """What every answer has, of calls too; by https it tells browsers to come by nothing else.

    Not to localhost: HSTS holds for all ports of a host, and what else a developer has there speaks http.
    """
    is_meant = scheme == "https" and name_of(headers.get("host") or "") != "localhost"
    return _SECURE if is_meant else _PLAIN
