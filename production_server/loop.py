"""What a process does again and again beside its requests: a thread for each, which no outage and no fault ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from weakref import WeakSet

from production_server.errors import Unavailable

log = logging.getLogger(__name__)

_started: WeakSet[Loop] = WeakSet()


class Loop:
    """Takes one step after the other in a thread of its own, from `start` to `stop`."""

    def __init__(
        self, name: str, step: Callable[[], bool], *, pause_s: float, stopping: threading.Event | None = None
    ) -> None:
        """`step` does what there is to do, and says whether there may be more at once; else it is asked after a pause.

        `stopping` is set by `stop`; a long step may look at it, to end early.
        """
        self.name = name
        self._stopping = stopping or threading.Event()
        self._step = step
        self._pause_s = pause_s
        self._fault = ""
        self._thread = self._new_thread()

    @property
    def is_dead(self) -> bool:
        """Whether nobody takes steps any more, though somebody should."""
        is_running = self._thread.ident is None or self._thread.is_alive()
        return not (is_running or self._stopping.is_set())

    def start(self) -> None:
        """Start the thread."""
        _started.add(self)
        self._thread.start()

    def restart(self) -> None:
        """Go on in another thread, where the one that there was has died."""
        self._thread = self._new_thread()
        self._thread.start()

    def stop(self, timeout_s: float | None = None) -> None:
        """End after the step in hand, which is waited for so long; does nothing to a loop that was not started."""
        self._stopping.set()
        _started.discard(self)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name=self.name, daemon=True)

    def _run(self) -> None:
        pause_s = 0.0
        while not self._stopping.wait(pause_s):
            pause_s = 0.0 if self._take_step() else self._pause_s

    def _take_step(self) -> bool:
        """Whether there may be more to do at once."""
        try:
            is_busy = self._step()
        except Unavailable as exc:
            self._note(exc.with_place)
            return False
        except BaseException:  # SystemExit, too, would end the thread, and nobody would notice
            log.exception("%s failed; it goes on", self.name)
            return False
        self._note("")
        return is_busy

    def _note(self, fault: str) -> None:
        """Log an outage once when it begins and once when it ends, not with every step."""
        if fault and not self._fault:
            log.warning("%s: %s; trying on", self.name, fault)
        if self._fault and not fault:
            log.info("%s: database and broker answer again", self.name)
        self._fault = fault


def restart_dead() -> list[str]:
    """Have every loop of this process go on whose thread has died, whatever it died of; returns their names."""
    dead = [loop for loop in list(_started) if loop.is_dead]
    for loop in dead:
        log.error("%s had ended; starting it again", loop.name)
        loop.restart()
    return sorted(loop.name for loop in dead)
