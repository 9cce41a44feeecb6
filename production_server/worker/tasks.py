"""The Celery tasks: bodies of a few lines around `ChunkRunner`."""

from __future__ import annotations

import logging

from celery import Celery
from celery.exceptions import Reject

from production_server.broker.messages import RUN_CHUNK, read_chunk_body
from production_server.errors import Unavailable
from production_server.worker.chunks import ChunkRunner

log = logging.getLogger(__name__)


def register_tasks(app: Celery, runner: ChunkRunner) -> None:
    """Make `app` able to run the tasks, on `runner`."""

    @app.task(name=RUN_CHUNK)
    def run_chunk(**body: object) -> None:
        try:
            job_id, start, stop = read_chunk_body(body)
        except ValueError as exc:
            log.error("dropped a message: %s", exc)
            return
        try:
            is_done = runner.run(job_id, start, stop)
        except Unavailable as exc:
            # Not put back: it would come again at once. The reconciler publishes anew when the database answers.
            log.warning("job %s, items %d to %d: %s", job_id, start, stop - 1, exc)
            return
        if not is_done:
            raise Reject("the worker stops", requeue=True)
