"""The messages between web and worker: names and bodies, no transport."""

from __future__ import annotations

from uuid import UUID

from production_server.jobs.records import Chunk

RUN_CHUNK = "celeriac.run_chunk"
NORMAL_QUEUE = "celeriac.jobs"
HIGH_QUEUE = "celeriac.jobs.high"


def chunk_body(chunk: Chunk) -> dict[str, str | int]:
    """The keyword arguments of the `RUN_CHUNK` task: a reference to items, never their inputs."""
    return {"job_id": str(chunk.job_id), "start": chunk.start, "stop": chunk.stop}


def read_chunk_body(body: dict[str, object]) -> tuple[UUID, int, int]:
    """Job, first index and end of a `RUN_CHUNK` task.

    Raises:
        ValueError: the body is not one that `chunk_body` makes.
    """
    start, stop = body.get("start"), body.get("stop")
    if not (isinstance(start, int) and isinstance(stop, int) and 0 <= start < stop):
        raise ValueError(f"not a chunk: {body}")
    return UUID(str(body.get("job_id"))), start, stop


def queue_of(chunk: Chunk) -> str:
    """The queue that a chunk travels in."""
    return HIGH_QUEUE if chunk.priority == "high" else NORMAL_QUEUE
