"""The Celery tasks: bodies of a few lines around `ChunkProcessor`."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.exceptions import Reject

from production_server.broker.messages import RUN_CHUNK, read_chunk_body
from production_server.worker.chunk_messages import work_off
from production_server.worker.chunks import ChunkProcessor


def register_tasks(app: Celery, processor: ChunkProcessor) -> None:
    """Make `app` able to run the tasks, on `processor`."""

    @app.task(name=RUN_CHUNK, bind=True)
    def run_chunk(self: Any, /, **body: object) -> None:
        job_id, start, stop = read_chunk_body(body)
        queue, carried = self.request.delivery_info["routing_key"], self.request.headers or {}
        if not work_off(processor, job_id, start, stop, queue=queue, carried=carried):
            raise Reject("the worker stops", requeue=True)
