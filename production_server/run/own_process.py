"""A part of the service in a process of its own: beside a broker neither web processes nor workers have it in them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Protocol

from production_server.errors import Fault, SettingsError
from production_server.loop import Loop, restart_dead
from production_server.parts import SharedParts
from production_server.settings import Settings

RESTART_EVERY_S = 3.0


class Part(Protocol):
    """What does its work in threads of its own."""

    def start(self) -> None:
        """Begin; waits for nobody."""

    def close(self) -> None:
        """End what is in hand, or let go of it."""


def run_alone(settings: Settings, make: Callable[[SharedParts], Part]) -> None:
    """Run a part until SIGTERM or SIGINT.

    Raises:
        SettingsError: there is no broker, so that `run` has the part in its one process.
        Unavailable: the database does not answer at the start.
    """
    if settings.is_embedded:
        raise SettingsError(
            (Fault("BROKER_URL", "a broker: without one, `run` does this beside its server", "nothing"),)
        )
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    shared = SharedParts.build(settings)
    shared.standings.look_again()
    shared.start()
    part = make(shared)
    watching = Loop("threads", _restart, pause_s=RESTART_EVERY_S)
    try:
        part.start()
        watching.start()
        stopping.wait()
    finally:
        watching.stop()
        part.close()
        shared.close()


def _restart() -> bool:
    restart_dead()
    return False
