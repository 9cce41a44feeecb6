"""What a port without TLS answers where there is one with it: go there."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from production_server.errors import CeleriacError, InvalidInput
from production_server.shown import describe
from production_server.web.edge.bridge import Scope, Send, send_all
from production_server.web.edge.headers import headers_of
from production_server.web.edge.problems import status_of
from production_server.web.edge.sites import Sites, name_of

if TYPE_CHECKING:
    from production_server.web.edge.incoming import Receive

HTTPS_PORT = 443


class ToHttps:
    """An ASGI application that sends each request on to https on `port`, under the name that it asked for.

    Only to names that are the service's: a link to here must not lead elsewhere.
    """

    def __init__(self, sites: Sites, *, port: int) -> None:
        self._sites = sites
        self._port = "" if port == HTTPS_PORT else f":{port}"

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request, without its body."""
        # Whatever else this client wants belongs on the other port, and so does a body that is still coming.
        headers = [(b"connection", b"close"), (b"content-type", b"text/plain; charset=utf-8")]
        try:
            place = self._place(scope)
        except CeleriacError as exc:
            status, text = status_of(exc), str(exc)
        else:
            status, text = HTTPStatus.PERMANENT_REDIRECT, f"go to {place}"
            headers.append((b"location", place.encode("latin-1")))
        body = f"{text}\n".encode()
        await send_all(send, status, [*headers, (b"content-length", b"%d" % len(body))], body)

    def _place(self, scope: Scope) -> str:
        headers = headers_of(scope)
        self._sites.check(scope["method"], headers, scheme="http")
        host = headers.get("host", "")
        name = name_of(host)
        if not name:
            raise InvalidInput.at(
                "Host", "a name or an address: there is nothing to send you to", describe(host)
            )
        path = scope["raw_path"].decode("latin-1")
        if not path.startswith("/"):
            raise InvalidInput.at("path", "one that begins with /", describe(path))
        query = scope["query_string"].decode("latin-1")
        return f"https://{name}{self._port}{path}" + (f"?{query}" if query else "")
