"""What is done with a message that speaks of a chunk, whatever it came by."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from uuid import UUID

from production_server.errors import Unavailable
from production_server.work_in_hand import working_on
from production_server.worker.chunks import ChunkProcessor

log = logging.getLogger(__name__)


def work_off(
    processor: ChunkProcessor, job_id: UUID, start: int, stop: int, *, queue: str, carried: Mapping[str, str]
) -> bool:
    """Work on a chunk that came from a queue, in the trace that it carried; False: it shall come again."""
    about: dict[str, str | int] = {
        "celeriac.job_id": str(job_id),
        "celeriac.start": start,
        "celeriac.stop": stop,
    }
    with working_on(job=str(job_id)), _span(processor, queue, carried, about):
        try:
            return processor.run(job_id, start, stop)
        except Unavailable as exc:
            # Not put back: it would come again at once. The reconciler publishes anew when the database answers.
            log.warning("job %s, items %d to %d: %s", job_id, start, stop - 1, exc)
            return True


def _span(
    processor: ChunkProcessor, queue: str, carried: Mapping[str, str], about: Mapping[str, str | int]
) -> AbstractContextManager[object]:
    if processor.tracing is None:
        return nullcontext()
    return processor.tracing.processing(queue, carried, about)
