"""The worker process: the composition root that Celery runs in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from celery.signals import worker_shutting_down

from production_server.broker.app import create_celery
from production_server.broker.transport import over_broker
from production_server.parts import SharedParts
from production_server.settings import Settings
from production_server.tracing import create_tracing
from production_server.worker.call_server import CallServer
from production_server.worker.celery_steps import CONSUMER, PromptStop
from production_server.worker.parts import CHUNK_THREADS, WorkerParts
from production_server.worker.tasks import register_tasks

if TYPE_CHECKING:
    from production_server.worker.metrics import MetricsServer

log = logging.getLogger(__name__)

CALLS_DRAIN_S = 5.0
"""How long a stop waits for batches of calls in hand: they were taken while chunks were finished, too."""


def run_worker(settings: Settings) -> None:
    """Consume chunks until SIGTERM or SIGINT, then finish the batches in hand and return.

    Raises:
        SettingsError: METRICS_PORT, CALLS_LISTEN or CALLS_DIR cannot be listened on.
        Unavailable: the database does not answer at the start. A broker that does not answer is waited for.
    """
    tracing = create_tracing(settings, "worker")
    app = create_celery(settings)
    shared = SharedParts.build(settings, over_broker(app, settings, tracing=tracing), tracing=tracing)
    parts = WorkerParts.build(shared)
    register_tasks(app, parts.chunk_processor)
    app.conf.worker_consumer = CONSUMER
    app.steps["worker"].add(PromptStop)
    metrics_server = _answer_prometheus(settings, parts)
    calls = CallServer(settings, parts.call_processor)
    parts.housekeeping.calls = calls.told
    shared.start()
    calls.start()
    parts.start(alone=False)

    def drain(**_signal: object) -> None:
        parts.chunk_processor.stopping.set()

    worker_shutting_down.connect(drain)
    log.info(
        "worker %s is warm: %s", parts.housekeeping.name, ", ".join(parts.housekeeping.warm) or "no model"
    )
    try:
        # Threads, not processes: the models are loaded once, and ONNX Runtime works outside the GIL.
        app.Worker(
            pool="threads",
            quiet=True,  # no banner
            concurrency=CHUNK_THREADS,
            without_gossip=True,
            without_mingle=True,
            # Celery gives a worker without heartbeats nothing to send events with, however often they are asked for.
            without_heartbeat=settings.remote_control == "off",
            hostname=parts.housekeeping.name,
            # What is said here as well: Celery sets the root logger's level, ours with it.
            loglevel=settings.log_level,
        ).start()
    finally:
        worker_shutting_down.disconnect(drain)
        if metrics_server is not None:
            metrics_server.close()
        calls.stop(within_s=min(settings.drain_s, CALLS_DRAIN_S))
        parts.close()
        shared.close()
        if tracing is not None:
            tracing.close()


def _answer_prometheus(settings: Settings, parts: WorkerParts) -> MetricsServer | None:
    if parts.metrics is None:
        return None
    from production_server.worker.metrics import MetricsServer

    return MetricsServer(parts.metrics, settings)
