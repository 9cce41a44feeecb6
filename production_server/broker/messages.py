"""The messages between web and worker: names and bodies, no transport."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from uuid import UUID

from production_server.jobs.records import Chunk

RUN_CHUNK = "celeriac.run_chunk"
NORMAL_QUEUE = "celeriac.jobs"
HIGH_QUEUE = "celeriac.jobs.high"
DEAD_LETTERS = "celeriac.dead_letters"
"""Where the broker puts what a worker refuses, and what came back too often: for people to look at."""
MAX_BODY_BYTES = 10_000
UNUSED_HEADERS = (
    "eta",
    "expires",
    "shadow",
    "group",
    "parent_id",
    "compression",
    "stamps",
    "stamped_headers",
)
"""What Celery reads of a message and we never send; `compression` would let a few bytes take all memory."""
MAX_INDEX = 2**31 - 1


def chunk_body(chunk: Chunk) -> dict[str, str | int]:
    """The keyword arguments of the `RUN_CHUNK` task: a reference to items, never their inputs."""
    return {"job_id": str(chunk.job_id), "start": chunk.start, "stop": chunk.stop}


def read_chunk_body(body: Mapping[str, object]) -> tuple[UUID, int, int]:
    """Job, first index and end of a `RUN_CHUNK` task.

    Raises:
        ValueError: the body is not one that `chunk_body` makes.
    """
    start, stop = body.get("start"), body.get("stop")
    # By type, since true and false are instances of int, and no indexes.
    if not (type(start) is int and type(stop) is int and 0 <= start < stop <= MAX_INDEX):
        raise ValueError(f"not a chunk: {reprlib.repr(body)}")
    return UUID(str(body.get("job_id"))), start, stop


def check_message(headers: Mapping[str, object], content: object) -> None:
    """See that a message is a `RUN_CHUNK` task as we send it: `content` is its body, read from JSON.

    Celery believes whatever a message says of itself; of much it dies, and then the next worker gets it.

    Raises:
        ValueError: it is not.
    """
    if headers.get("task") != RUN_CHUNK or not isinstance(headers.get("id"), str):
        raise ValueError(f"not a task {RUN_CHUNK}: {reprlib.repr(headers.get('task'))}")
    strange = [name for name in UNUSED_HEADERS if headers.get(name)]
    if strange:
        raise ValueError(f"with headers that no message of ours has: {', '.join(strange)}")
    match content:
        case [[], dict() as body, dict() as embedded] if not any(embedded.values()):
            read_chunk_body(body)
        case _:
            raise ValueError(f"not the body of a task: {reprlib.repr(content)}")


def queue_of(chunk: Chunk) -> str:
    """The queue that a chunk travels in."""
    return HIGH_QUEUE if chunk.priority == "high" else NORMAL_QUEUE
