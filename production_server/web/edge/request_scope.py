"""What is around each request that Flask answers: its id, in logs and in the answer; its span, if there are traces."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from production_server.web.edge.request_ids import HEADER, request_id_of
from production_server.work_in_hand import working_on

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from production_server.tracing.spans import Tracing

ROUTE = "celeriac.route"
"""Where the application notes the pattern that a request's path fits."""


class RequestScope:
    """A WSGI application around another one."""

    def __init__(self, app: WSGIApplication, tracing: Tracing | None) -> None:
        self._app = app
        self._tracing = tracing

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request. What a stream does after its first part is not part of it."""
        request_id = request_id_of(environ.get("HTTP_X_REQUEST_ID"))
        answer = _Answer(start_response, request_id)
        with working_on(request_id=request_id):
            if self._tracing is None:
                return self._app(environ, answer.start)
            return self._traced(self._tracing, environ, answer)

    def _traced(self, tracing: Tracing, environ: WSGIEnvironment, answer: _Answer) -> Iterable[bytes]:
        names = {"traceparent": "HTTP_TRACEPARENT", "tracestate": "HTTP_TRACESTATE"}
        headers = {name: environ[variable] for name, variable in names.items() if variable in environ}
        with tracing.request(environ["REQUEST_METHOD"], environ["PATH_INFO"], headers) as end:
            try:
                return self._app(environ, answer.start)
            finally:
                end(environ.get(ROUTE, ""), answer.status, {"celeriac.request_id": answer.request_id})


class _Answer:
    def __init__(self, start_response: StartResponse, request_id: str) -> None:
        self._start_response = start_response
        self.request_id = request_id
        self.status: int = 500

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        self.status = int(status[:3])
        return self._start_response(status, [*headers, (HEADER, self.request_id)], exc_info)
