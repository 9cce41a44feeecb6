"""What others get of a service while one client, file or neighbour does its worst."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import httpx
import psutil

from testing.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from testing.celeriac import Celeriac

MODEL, ROW = "diabetes", [6, 148, 72, 35, 0, 33.6, 0.627, 50]
CALL = f"/v1/models/{MODEL}:predict"
HUNG_S = 30.0
# The aims are half a second for /livez and 5 s for all else: what was measured is in docs/reliability.md. Tests hold
# only what no busy machine excuses.
LATE_S = {"livez": 5.0, "call": 15.0, "job": 15.0}
MOST_MB = 200.0


@dataclass(frozen=True)
class Answer:
    """What one request got, after how many seconds; `status` is 0 where there was no answer."""

    status: int
    seconds: float
    is_told_when: bool = False
    what: str = ""

    @property
    def is_served(self) -> bool:
        """It was answered, or refused with the time at which to come again."""
        return self.status in {200, 202} or (self.status == 503 and self.is_told_when)


@dataclass
class Seen:
    """What others saw meanwhile: answers by kind (`livez`, `call`, `job`), and what the service's processes took."""

    answers: dict[str, list[Answer]] = field(default_factory=lambda: {"livez": [], "call": [], "job": []})
    before_mb: float = 0.0
    most_mb: float = 0.0
    recovered_s: float = 0.0

    def p99_s(self, kind: str) -> float:
        """The time within which 99 of 100 were answered; seconds."""
        ordered = sorted(answer.seconds for answer in self.answers[kind])
        return ordered[int(len(ordered) * 0.99)] if ordered else float("nan")

    def share_refused(self, kind: str) -> float:
        """How many of 1 got 503."""
        answers = self.answers[kind]
        return sum(answer.status == 503 for answer in answers) / max(len(answers), 1)

    def faults(self) -> list[str]:
        """Whatever somebody else would complain of; nothing is as it should be."""
        found = [
            f"{kind}: {answer.status} {answer.what} after {answer.seconds:.1f} s"
            for kind, answers in self.answers.items()
            for answer in answers
            if not answer.is_served or answer.seconds > LATE_S[kind]
        ]
        found += [f"{kind}: nobody asked" for kind, answers in self.answers.items() if not answers]
        if self.most_mb - self.before_mb > MOST_MB:
            found.append(f"memory: {self.most_mb - self.before_mb:.0f} MB more than before")
        if self.recovered_s > LATE_S["job"]:
            found.append(f"recovery took {self.recovered_s:.1f} s")
        return found


class Neighbours:
    """Clients that ask for little: /livez all the time, one call after the other, one job of one row after the other.

    A context manager around what the abuser does. When that has left, it waits until a call and a job are answered.
    """

    def __init__(self, service: Celeriac) -> None:
        self.service = service
        self.seen = Seen()
        self._is_over = threading.Event()
        asked: tuple[tuple[str, Callable[[httpx.Client], httpx.Response], float], ...] = (
            ("livez", lambda web: web.get("/livez"), 0.05),
            ("call", lambda web: web.post(CALL, json={"instances": [ROW]}), 0.1),
            ("job", self._job, 0.2),
        )
        self._threads = [threading.Thread(target=self._ask, args=each) for each in asked]
        self._threads.append(threading.Thread(target=self._weigh))

    def __enter__(self) -> Self:
        self._until_served()  # the models are loaded
        self.seen.before_mb = memory_mb(self.service)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        left = time.monotonic()
        if exc_info[0] is None:
            self._until_served()
        self.seen.recovered_s = time.monotonic() - left
        for thread in self._threads:
            thread.join()

    def _ask(self, kind: str, ask: Callable[[httpx.Client], httpx.Response], every_s: float) -> None:
        with httpx.Client(base_url=self.service.url, timeout=HUNG_S) as web:
            while not self._is_over.is_set():
                self.seen.answers[kind].append(answered(lambda: ask(web)))
                self._is_over.wait(every_s)

    def _job(self, web: httpx.Client) -> httpx.Response:
        """Submit one row and wait for its result."""
        told = web.post("/api/jobs", json={"model": MODEL, "inputs": [ROW]})
        deadline = time.monotonic() + HUNG_S
        while told.status_code in {200, 202} and told.json()["state"] != "finished":
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout(f"the job is {told.json()['state']}")
            time.sleep(0.02)
            told = web.get(told.json()["links"]["self"])
        return told

    def _weigh(self) -> None:
        while not self._is_over.wait(0.05):
            self.seen.most_mb = max(self.seen.most_mb, memory_mb(self.service))

    def _until_served(self) -> None:
        with httpx.Client(base_url=self.service.url, timeout=HUNG_S) as web:
            wait_until(
                lambda: (
                    answered(lambda: web.post(CALL, json={"instances": [ROW]})).status == 200
                    and answered(lambda: self._job(web)).status == 200
                ),
                what="a call and a job are answered",
            )


def answered(ask: Callable[[], httpx.Response]) -> Answer:
    """Ask, and say what came and how long it took."""
    began = time.monotonic()
    try:
        response = ask()
    except httpx.HTTPError as error:
        return Answer(0, time.monotonic() - began, what=f"{type(error).__name__} {error}")
    is_told_when = "retry-after" in response.headers
    return Answer(response.status_code, time.monotonic() - began, is_told_when, response.text[:200])


def memory_mb(service: Celeriac) -> float:
    """What all processes of the service hold in memory (RSS); 10^6 bytes."""
    main = psutil.Process(service.pid)
    total = 0
    for process in (main, *main.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / 1e6
