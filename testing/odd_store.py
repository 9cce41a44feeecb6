"""A store that speaks just enough of S3 to answer as no real one should: by drips, without end, from elsewhere."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = b"x" * 65536


class Answering(BaseHTTPRequestHandler):
    """One request to an odd store; `answer` of a test says what comes back."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.server.store.asked.append(self.path)
        with contextlib.suppress(OSError):
            self.server.store.answer(self)

    def do_HEAD(self) -> None:
        self.do_GET()

    def begin(self, status: int, **headers: str) -> None:
        """The status and the headers; a `_` in a name stands for a hyphen."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def whole(self, body: bytes) -> None:
        """A plain answer."""
        self.begin(200, Content_Length=str(len(body)), ETag='"1"')
        self.wfile.write(body)

    def send(self, piece: bytes) -> None:
        """A piece of a body."""
        self.wfile.write(piece)
        self.server.store.sent_bytes += len(piece)

    def log_message(self, *_: object) -> None:
        """Nothing."""


Answer = Callable[[Answering], None]


@dataclass
class OddStore:
    """Answers at `url`; `asked` has the paths that were asked for, `sent_bytes` how much of bodies was taken."""

    url: str
    answer: Answer
    asked: list[str] = field(default_factory=list)
    sent_bytes: int = 0
    closing: threading.Event = field(default_factory=threading.Event)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    store: OddStore


@contextlib.contextmanager
def odd_store(answer: Answer) -> Iterator[OddStore]:
    """A store that gives one answer to all that it is asked."""
    server = _Server(("127.0.0.1", 0), Answering)
    server.store = OddStore(f"http://127.0.0.1:{server.server_port}", answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.store
    finally:
        server.store.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def fine(answering: Answering) -> None:
    """What a store answers that is as it should be."""
    answering.whole(b"fine")


def drips(answering: Answering) -> None:
    """A body of a megabyte, of which a byte comes now and then."""
    answering.begin(200, Content_Length=str(2**20), ETag='"1"')
    while not answering.server.store.closing.wait(0.05):
        answering.send(b"x")


def endless(answering: Answering) -> None:
    """A body whose size nobody says, which does not end."""
    answering.begin(200, ETag='"1"', Connection="close")
    while not answering.server.store.closing.is_set():
        answering.send(PIECE)


def huge(answering: Answering) -> None:
    """A body of 200 MB."""
    size_bytes = 200 * 10**6
    answering.begin(200, Content_Length=str(size_bytes), ETag='"1"')
    while size_bytes > 0 and not answering.server.store.closing.is_set():
        answering.send(PIECE[:size_bytes])
        size_bytes -= len(PIECE)


def redirect(status: int, to: str, **headers: str) -> Answer:
    """An answer that the object is elsewhere."""

    def answer(answering: Answering) -> None:
        answering.begin(status, Location=f"{to}{answering.path}", Content_Length="0", **headers)

    return answer


def only(name: str, odd: Answer, body: bytes) -> Answer:
    """An answer that is odd for one object; all others have the same body."""

    def answer(answering: Answering) -> None:
        if answering.path.endswith(f"/{name}"):
            odd(answering)
        else:
            answering.whole(body)

    return answer
