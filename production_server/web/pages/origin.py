"""Protects the forms: a POST to a page counts only if a page of this very server sent it.

Browsers say where a request comes from and pages cannot forge that, so neither cookies nor tokens are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from flask import abort, request

from production_server.errors import Fault
from production_server.web.edge.parts import current_parts


def refuse_foreign_forms() -> None:
    """Answer 403 to a POST that another site's page sent; runs before each request of the pages."""
    if request.method != "POST":
        return
    hosts = (request.host, *current_parts().settings.public_hosts)
    fault = foreign_origin(dict(request.headers), hosts)
    if fault is not None:
        abort(
            403, f"this form comes from another host's page ({fault}); open the page here and send it again"
        )


def foreign_origin(headers: Mapping[str, str], hosts: Sequence[str]) -> Fault | None:
    """What is wrong with where a POST comes from, or None.

    `hosts` are the request's own host and port, and those by which the server is reached through proxies. Schemes are
    not compared: a proxy may have ended TLS. A client that says nothing at all is no browser, and has no user whose
    rights another site could borrow.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None and site not in ("same-origin", "none"):
        return Fault("Sec-Fetch-Site", "a form of this server", site)
    origin = headers.get("Origin")
    if site is None and origin is not None and _host_of(origin) not in hosts:
        expected = f"a form of {' or '.join(hosts)}; a proxy that changes Host needs PUBLIC_HOSTS"
        return Fault("Origin", expected, origin[:100])
    return None


def _host_of(origin: str) -> str | None:
    """An origin's host and port; None if it is not written as one."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
