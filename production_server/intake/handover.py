"""From what is stored to what is on its way: the step that every front door takes once its job is durable."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from production_server.broker.publisher import Publisher
from production_server.errors import Unavailable
from production_server.jobs.database import Database
from production_server.jobs.publication import mark_published
from production_server.jobs.records import Chunk
from production_server.work_in_hand import working_on

log = logging.getLogger(__name__)


def hand_over(publisher: Publisher, database: Database, chunks: Sequence[Chunk]) -> None:
    """Publish chunks of one stored job, in order, and note it.

    A broker that does not answer gets them from the reconciler: what is not noted as published is published again.
    """
    if not chunks:
        return
    job_id = chunks[0].job_id
    with working_on(job=str(job_id)):
        try:
            publisher.publish(chunks)
            mark_published(database, job_id, start=chunks[0].start)
        except Unavailable as exc:
            log.warning("job %s is accepted and waits to be published: %s", job_id, exc)
