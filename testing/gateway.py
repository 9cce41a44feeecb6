"""What stands before a service and holds its port: it passes requests on, and answers 503 while the service is down.

It answers that after a second, as HAProxy does, which tries again until then. A Ceph 16.2 that is refused more quickly
than it begins to wait for the answer waits for ever (docs/buckets.md).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REFUSES_AFTER_S = 1.0


@dataclass(frozen=True)
class Gateway:
    """Answers at `url` for the service behind it; `refused` has the keys of all objects that it took no event of."""

    url: str
    refused: set[str] = field(default_factory=set)


@contextlib.contextmanager
def gateway(service_port: int) -> Iterator[Gateway]:
    """A gateway to a port of this machine."""

    class PassOn(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                status, answer = self._ask(body)
            except (OSError, http.client.HTTPException):
                status, answer = 503, b""
                time.sleep(REFUSES_AFTER_S)
                records = json.loads(body)["Records"]
                this.refused.update(record["s3"]["object"]["key"] for record in records)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _ask(self, body: bytes) -> tuple[int, bytes]:
            service = http.client.HTTPConnection("127.0.0.1", service_port, timeout=30)
            with contextlib.closing(service):
                service.request("POST", self.path, body, {"Content-Type": self.headers["Content-Type"]})
                answer = service.getresponse()
                return answer.status, answer.read()

        def log_message(self, *_: object) -> None:
            """Nothing: thousands come."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), PassOn)
    this = Gateway(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield this
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
