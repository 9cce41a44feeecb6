"""The parts that every worker consists of, in a process of its own or in threads of the embedded server."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from production_server.inference import Engine
from production_server.jobs.database import Database
from production_server.loop import Loop
from production_server.models.registry import Registry
from production_server.parts import SharedParts
from production_server.personas.learner import LOOK_EVERY_S as LEARN_EVERY_S
from production_server.personas.learner import Learner, embedders_of
from production_server.serving.canaries import Canaries
from production_server.serving.overview import Overview
from production_server.serving.rollouts import Rollouts
from production_server.settings import Settings
from production_server.sources import scanner as scanning
from production_server.sources.scanner import Scanner
from production_server.storage.storage import Storage
from production_server.worker import fetching
from production_server.worker import importer as importing
from production_server.worker.calls import CallProcessor
from production_server.worker.chunks import ChunkProcessor
from production_server.worker.fetching import Fetcher
from production_server.worker.housekeeping import Housekeeping
from production_server.worker.importer import Importer
from production_server.worker.inputs import Inputs
from production_server.worker.loading import LOOK_EVERY_S, Loading
from production_server.worker.observing import Observing
from production_server.worker.replaying import Replaying
from production_server.worker.throttle import Throttle

if TYPE_CHECKING:
    from production_server.worker.metrics import WorkerMetrics

CHUNK_THREADS = 3
"""One more than may run a model at once: while it waits for the database, the others keep the cores busy."""
MODEL_THREADS = 2
"""So many of them decode and run models at once: while one decodes, the other one keeps the model busy."""


@dataclass(slots=True)
class WorkerParts:
    """A warmed-up worker, ready for what its chunks and calls travel by."""

    engine: Engine
    chunk_processor: ChunkProcessor
    fetcher: Fetcher
    importer: Importer
    scanner: Scanner
    housekeeping: Housekeeping
    loops: tuple[Loop, ...]
    call_processor: CallProcessor
    metrics: WorkerMetrics | None
    storage: Storage

    @classmethod
    def build(cls, shared: SharedParts) -> Self:
        """Load and warm up the models, and wire everything; nothing runs yet.

        Raises:
            Unavailable: the database does not answer: which versions serve is not known.
        """
        settings, database, tracing = shared.settings, shared.database, shared.tracing
        engine = Engine(shared.registry, threads=_threads_per_call(settings))
        shared.standings.look_again()
        engine.load_wanted()
        metrics = _metrics(settings, engine)
        stopping = threading.Event()
        inputs = Inputs(shared.storage, settings, stopping)
        observing = Observing(database, shared.registry, shared.standings)
        chunk_processor = ChunkProcessor(
            database,
            engine,
            settings,
            inputs,
            throttle=Throttle(MODEL_THREADS * _workers_here(settings)),
            stopping=stopping,
            publisher=shared.transport.publisher,
            observing=observing,
            metrics=metrics,
            tracing=tracing,
        )
        fetcher = Fetcher(database, chunk_processor, settings, stopping)
        overview = Overview(database, shared.registry, shared.standings)
        importer = Importer(database, overview, settings, shared.storage, stopping)
        housekeeping = Housekeeping(
            worker_name(settings),
            chunk_processor,
            fetcher,
            importer,
            database,
            shared.transport.publisher,
            settings,
        )
        scanner = Scanner(database, shared.storage, shared.intake, settings, stopping)
        about = (database, shared.registry, shared.standings)
        loading = Loading(
            engine,
            shared.standings,
            Rollouts(*about),
            tell=housekeeping.beat,
            replaying=Replaying(engine, settings, database, shared.registry),
            observing=observing,
            canaries=Canaries(*about),
        )

        # The first one renews leases: it ends last.
        loops = (
            Loop("housekeeping", housekeeping.step, pause_s=housekeeping.pause_s),
            Loop("versions", loading.look, pause_s=LOOK_EVERY_S),
            Loop("fetcher", fetcher.look, pause_s=fetching.LOOK_EVERY_S, stopping=stopping),
            Loop("importer", importer.look, pause_s=importing.LOOK_EVERY_S, stopping=stopping),
            Loop("scanner", scanner.look, pause_s=scanning.LOOK_EVERY_S, stopping=stopping),
            *personas_loops(settings, database, shared.registry),
        )
        call_processor = CallProcessor(
            engine,
            settings,
            name=housekeeping.name,
            throttle=chunk_processor.throttle,
            observing=observing,
            metrics=metrics,
            tracing=tracing,
        )
        return cls(
            engine,
            chunk_processor,
            fetcher,
            importer,
            scanner,
            housekeeping,
            loops,
            call_processor,
            metrics,
            shared.storage,
        )

    def start(self, *, alone: bool) -> None:
        """Start what runs beside chunks and calls; `alone`: no other worker uses this database.

        Raises:
            Unavailable: the database does not answer.
        """
        self.housekeeping.begin(alone=alone)
        for loop in self.loops:
            loop.start()

    def close(self) -> None:
        """Stop what runs beside chunks and calls, which must have ended, and free the models."""
        self.chunk_processor.stopping.set()
        # Whoever waits for a store is told so now: nothing else ends that.
        self.storage.close()
        self.importer.close()
        renewing, *looking = self.loops
        for loop in looking:
            loop.stop()
        self.fetcher.close()
        self.scanner.close()
        renewing.stop()
        self.housekeeping.end()
        self.engine.close()


def personas_loops(settings: Settings, database: Database, registry: Registry) -> tuple[Loop, ...]:
    """None where biometrics are off: no face is kept then."""
    if settings.personas == "off":
        return ()
    learner = Learner(database, partial(embedders_of, registry))
    return (Loop("personas", learner.step, pause_s=LEARN_EVERY_S),)


def _metrics(settings: Settings, engine: Engine) -> WorkerMetrics | None:
    """None in a worker process that nobody can ask for them."""
    if not (settings.is_embedded or settings.metrics_port):
        return None
    # Imported here: it takes 15 ms and 1.5 MB.
    from production_server.worker.metrics import WorkerMetrics

    return WorkerMetrics(engine)


def chunk_threads(settings: Settings) -> int:
    """How many threads of a process work on chunks."""
    return CHUNK_THREADS * _workers_here(settings)


def _workers_here(settings: Settings) -> int:
    """As many workers as a process stands for."""
    return settings.workers if settings.is_embedded else 1


def worker_name(settings: Settings) -> str:
    """What the worker of this process is called: as the settings say, or as nobody else is."""
    return settings.worker_name or f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:4]}"


def _threads_per_call(settings: Settings) -> int:
    """Threads inside one inference call: the machine's cores, shared among all chunks that `run`'s workers run at once.

    Two chunks side by side with half the cores each are quicker than one with all of them: decoding is serial.
    """
    return max(1, (os.cpu_count() or 1) // (settings.workers * MODEL_THREADS))
