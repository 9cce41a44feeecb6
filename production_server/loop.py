"""What a process does again and again beside its requests or chunks: a thread for each, which no outage ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from production_server.errors import Unavailable

log = logging.getLogger(__name__)


class Loop:
    """Takes one step after the other in a thread of its own, from `start` to `stop`."""

    def __init__(
        self, name: str, step: Callable[[], bool], *, pause_s: float, stopping: threading.Event | None = None
    ) -> None:
        """`step` does what there is to do, and says whether there may be more at once; else it is asked after a pause.

        `stopping` is set by `stop`; a long step may look at it, to end early.
        """
        self._stopping = stopping or threading.Event()
        self._name = name
        self._step = step
        self._pause_s = pause_s
        self._fault = ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step in hand; does nothing to a loop that was not started."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause_s = 0.0
        while not self._stopping.wait(pause_s):
            pause_s = 0.0 if self._take_step() else self._pause_s

    def _take_step(self) -> bool:
        """Whether there may be more to do at once."""
        try:
            is_busy = self._step()
        except Unavailable as exc:
            self._note(str(exc))
            return False
        except Exception:
            log.exception("%s failed; it goes on", self._name)
            return False
        self._note("")
        return is_busy

    def _note(self, fault: str) -> None:
        """Log an outage once when it begins and once when it ends, not with every step."""
        if fault and not self._fault:
            log.warning("%s: %s; trying on", self._name, fault)
        if self._fault and not fault:
            log.info("%s: database and broker answer again", self._name)
        self._fault = fault
