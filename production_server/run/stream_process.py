"""A process that reads streams: composition."""

from __future__ import annotations

import logging
import signal
import threading

from production_server.errors import Fault, SettingsError
from production_server.loop import Loop, restart_dead
from production_server.parts import SharedParts
from production_server.run.streams import Streams, open_streams
from production_server.settings import Settings

log = logging.getLogger(__name__)


def run_streams(settings: Settings) -> None:
    """Read all streams until SIGTERM or SIGINT.

    Raises:
        SettingsError: no streams are named, they cannot be used, or there is no broker that workers take jobs from.
        Unavailable: the database does not answer at the start.
    """
    if settings.is_embedded:
        raise SettingsError(
            (
                Fault(
                    "BROKER_URL", "a broker: without one, `run` reads the streams of STREAMS_FILE", "nothing"
                ),
            )
        )
    rules = open_streams(settings)
    if not rules:
        raise SettingsError((Fault("STREAMS_FILE", "a file of streams, or --config", "nothing"),))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    shared = SharedParts.build(settings)
    shared.standings.look_again()
    shared.start()
    streams = Streams(shared, rules)
    watching = Loop("threads", _restart, pause_s=3.0)
    try:
        streams.start()
        watching.start()
        stopping.wait()
    finally:
        watching.stop()
        streams.close()
        shared.close()


def _restart() -> bool:
    restart_dead()
    return False
