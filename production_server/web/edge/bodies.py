"""Reading request bodies in Flask's threads: only so many may wait for bytes, and what was compressed is not any more.

A client that stops in the middle of a body keeps a thread: the server cannot take it back from a read that waits for
bytes; a reverse proxy that reads bodies first can.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from production_server.errors import Unavailable
from production_server.web.edge.content_codings import PlainBody
from production_server.web.edge.readable import Readable

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATIENCE_S = 2.0
"""How long a read waits for the others: honest ones take no time, they find their bytes in the kernel's buffers."""


class BoundedBodies:
    """A WSGI application in which at most `readers` threads wait for bytes of bodies at once."""

    def __init__(self, app: WSGIApplication, *, readers: int, patience_s: float = PATIENCE_S) -> None:
        self._app = app
        self._readers = threading.Semaphore(readers)
        self._patience_s = patience_s

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"] = _Body(environ["wsgi.input"], self._readers, self._patience_s)
        return self._app(environ, start_response)


class PlainBodies:
    """A WSGI application that gets bodies as they were before they were compressed, and none over the limit."""

    def __init__(self, app: WSGIApplication, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        coding = environ.pop("HTTP_CONTENT_ENCODING", "")
        # Of other bodies Werkzeug knows the size, and that they end there.
        if coding or not environ.get("CONTENT_LENGTH"):
            environ["wsgi.input"] = PlainBody(environ["wsgi.input"], coding, limit=self._limit)
        if coding:
            environ.pop("CONTENT_LENGTH", None)
            environ["wsgi.input_terminated"] = True
        return self._app(environ, start_response)


class _Body:
    """One request's body; each read takes a reader's place for as long as it lasts."""

    def __init__(self, stream: Readable, readers: threading.Semaphore, patience_s: float) -> None:
        self._stream = stream
        self._readers = readers
        self._patience_s = patience_s

    def read(self, size: int = -1, /) -> bytes:
        """The stream's own `read`.

        Raises:
            Unavailable: too many other requests wait for their bodies.
        """
        if not self._readers.acquire(timeout=self._patience_s):
            raise Unavailable("too many clients are sending bodies and do not go on")
        try:
            return self._stream.read(size)
        finally:
            self._readers.release()
