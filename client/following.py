"""Follows a job: its results in order, as they become final."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from client.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from client.answers import Job, Result, Submitted
    from client.api import Server

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0


class Following:
    """A job whose results are being read; `job` is what was last seen of it."""

    def __init__(self, server: Server, submitted: Submitted, *, timeout_s: float | None = None) -> None:
        self.job = submitted.job
        self._early = submitted.results
        self._server = server
        self._timeout_s = timeout_s
        self._last_index: int | None = None
        self._taken = 0

    def results(self, *, watch: Callable[[Job], None]) -> Iterator[Result]:
        """Yield results until the job has ended; `watch` sees the job each time it is asked for.

        Raises:
            Unavailable: The job has not ended within the time given; it goes on.
        """
        started, pause_s = time.monotonic(), SHORTEST_PAUSE_S
        while True:
            watch(self.job)
            if self._early is not None:
                yield from self._early
                return
            if self.job.done > self._taken or self.job.has_ended:
                before = self._taken
                yield from self._new_results()
                pause_s = SHORTEST_PAUSE_S if self._taken > before else pause_s
            if self.job.has_ended:
                return
            if self._timeout_s is not None and time.monotonic() + pause_s > started + self._timeout_s:
                raise Unavailable(f"the job has not ended within {self._timeout_s:g} s")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
            self.job = self._server.job(self.job.id)

    def _new_results(self) -> Iterator[Result]:
        """Yield results up to the first that may still change."""
        is_more = True
        while is_more:
            page = self._server.results(self.job.id, after=self._last_index)
            for result in page.results:
                if not result.is_final:
                    return
                self._last_index, self._taken = result.index, self._taken + 1
                yield result
            is_more = page.next is not None and bool(page.results)
