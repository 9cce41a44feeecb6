"""The Celery tasks: bodies of a few lines around `ChunkProcessor`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celery import Celery
from celery.exceptions import Reject

from production_server.broker.messages import RUN_CHUNK, read_chunk_body
from production_server.errors import Unavailable
from production_server.work_in_hand import working_on
from production_server.worker.chunks import ChunkProcessor

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing

log = logging.getLogger(__name__)


def register_tasks(app: Celery, processor: ChunkProcessor, *, tracing: Tracing | None = None) -> None:
    """Make `app` able to run the tasks, on `processor`."""

    @app.task(name=RUN_CHUNK, bind=True)
    def run_chunk(self: Any, /, **body: object) -> None:
        try:
            job_id, start, stop = read_chunk_body(body)
        except ValueError as exc:
            log.error("dropped a message: %s", exc)
            return
        with working_on(job=str(job_id)), _span(self.request, body, tracing):
            is_done = _run(processor, job_id, start, stop)
        if not is_done:
            raise Reject("the worker stops", requeue=True)


def _run(processor: ChunkProcessor, job_id: UUID, start: int, stop: int) -> bool:
    """Whether the message has done its duty."""
    try:
        return processor.run(job_id, start, stop)
    except Unavailable as exc:
        # Not put back: it would come again at once. The reconciler publishes anew when the database answers.
        log.warning("job %s, items %d to %d: %s", job_id, start, stop - 1, exc)
        return True


def _span(
    request: Any, body: Mapping[str, object], tracing: Tracing | None
) -> AbstractContextManager[object]:
    if tracing is None:
        return nullcontext()
    attributes = {f"celeriac.{name}": value for name, value in body.items() if isinstance(value, str | int)}
    return tracing.processing(request.delivery_info["routing_key"], request.headers or {}, attributes)
