"""Clients that call all the time, and what became of their calls."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

SHARE = 0.05
"""What the table model says for each step of its first number, unless its version says otherwise."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Which version answered a call, and the moments when it was sent and answered (seconds since the epoch, UTC)."""

    version: str
    began: float
    ended: float


@dataclass
class Calls:
    """What several clients saw, each asking one row after the other."""

    share_of: Callable[[str], float]
    """What a version of the table model says for each step of its first number."""
    codes: Counter[int] = field(default_factory=Counter)
    longest_s: float = 0.0
    is_wrong: bool = False
    answered: list[Answered] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, answer: httpx.Response, index: int, seconds: float) -> None:
        """Count an answer that has just come, after so long, to a row with that `index`."""
        ended = time.time()
        with self._lock:
            self.codes[answer.status_code] += 1
            self.longest_s = max(self.longest_s, seconds)
            if answer.status_code == 200:
                version = answer.headers["X-Celeriac-Version"]
                said = answer.json()["predictions"][0][1]
                self.is_wrong |= abs(said - self.share_of(version) * index) > 1e-6
                self.answered.append(Answered(version, ended - seconds, ended))

    @property
    def refused(self) -> set[int]:
        """The status codes of those that got no answer."""
        return set(self.codes) - {200}


def _always_share(_version: str) -> float:
    return SHARE


@contextlib.contextmanager
def calling(
    url: str,
    *,
    clients: int = 8,
    pause_s: float = 0.005,
    model: str = "table",
    share_of: Callable[[str], float] = _always_share,
) -> Iterator[Calls]:
    """Clients that call until the end of the block, each with a pause after an answer.

    Without one they would take all processors from the service that they call.
    """
    calls, stopped = Calls(share_of), threading.Event()

    def call(number: int) -> None:
        with httpx.Client(base_url=url, timeout=60) as web:
            turn = number
            while not stopped.wait(pause_s):
                turn += 1
                began = time.monotonic()
                answer = web.post(f"/v1/models/{model}:predict", json={"instances": [[turn % 10, number]]})
                calls.note(answer, turn % 10, time.monotonic() - began)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield calls
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def call_in_a_row(port: int, path: str, body: bytes, *, count: int, connections: int = 8) -> Counter[bytes]:
    """Send as many requests, on each connection one after another without waiting; returns the status codes."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    def on_one_connection(number: int) -> Counter[bytes]:
        share = count // connections + (number < count % connections)
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            sender = threading.Thread(target=connection.sendall, args=((head + body) * share,))
            sender.start()
            codes = _codes(connection, share)
            sender.join()
        return codes

    with ThreadPoolExecutor(connections) as pool:
        return sum(pool.map(on_one_connection, range(connections)), Counter())


def _codes(connection: socket.socket, count: int) -> Counter[bytes]:
    codes: Counter[bytes] = Counter()
    unread = b""
    while codes.total() < count and (data := connection.recv(2**16)):
        unread += data
        end = 0
        for match in re.finditer(rb"HTTP/1\.1 (\d{3})", unread):
            codes[match[1]] += 1
            end = match.end()
        unread = unread[end:]
    return codes


def codes_of(said: bytes) -> list[bytes]:
    """The status codes of the answers in what a server has said."""
    return re.findall(rb"HTTP/1\.1 (\d{3})", said)
