"""From finished items to rows of faces, each once: in bounded batches, resumed anywhere.

A mark for each job says how far it was read. It moves with the rows in one transaction, never goes back, and stops
before an item that is not done yet: so a face that was deleted stays so.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select, tuple_

from production_server.jobs.bulk import insert_many
from production_server.jobs.database import Database, dialect_of
from production_server.jobs.settle import done
from production_server.jobs.tables import face, face_mark, item, job
from production_server.personas.records import Embedder
from production_server.personas.state import lock

log = logging.getLogger(__name__)

ITEMS_AT_ONCE = 100
"""A picture has up to 256 faces of 700 bytes: 20 MB at the very most."""
JOBS_AT_ONCE = 20
DONE = ("succeeded", "failed", "cancelled")
DIMENSIONS = 128
_COLUMNS = ("idx", "place", "box", "landmarks", "score", "side", "sharpness", "embedding")


def find_faces(database: Database, embedders: Collection[Embedder]) -> int:
    """Make rows of the faces of some finished items of these versions; returns how many items were read.

    Raises:
        Unavailable: the database does not answer.
    """
    if not embedders:
        return 0
    with database.read() as connection:
        jobs = connection.execute(_unread(embedders)).all()
    read = 0
    for row in jobs:
        with database.write() as connection:
            # Ids of faces are given in the order of commits: who judges them passes none over.
            lock(connection)
            read += _read_some(connection, row.id, Embedder(row.model, row.version))
        if read >= ITEMS_AT_ONCE:
            break
    return read


def _unread(embedders: Collection[Embedder]) -> Any:
    """Jobs that have more items that are done than were read."""
    read_to = func.coalesce(face_mark.c.read_to, 0)
    return (
        select(job.c.id, job.c.model, job.c.version)
        .outerjoin(face_mark, face_mark.c.job_id == job.c.id)
        .where(job.c.model.in_({each.model for each in embedders}))
        .where(tuple_(job.c.model, job.c.version).in_(list(embedders)), done > read_to)
        # The one that was read least comes first: one whose next item takes long holds up no other.
        .order_by(read_to, job.c.id)
        .limit(JOBS_AT_ONCE)
    )


def _read_some(connection: Connection, job_id: Any, embedder: Embedder) -> int:
    at = select(face_mark.c.read_to).where(face_mark.c.job_id == job_id)
    start = connection.execute(at).scalar_one_or_none() or 0
    query = select(item.c.idx, item.c.state, item.c.output).where(item.c.job_id == job_id)
    items = connection.execute(
        query.where(item.c.idx >= start, item.c.idx < start + ITEMS_AT_ONCE).order_by(item.c.idx)
    ).all()
    rows: list[tuple[Any, ...]] = []
    read_to = start
    for each in items:
        if each.state not in DONE:
            break
        if each.state == "succeeded":
            rows += _rows_of(each.idx, each.output or ())
        read_to = each.idx + 1
    if read_to > start:
        same = {"job_id": job_id, "model": embedder.model, "version": embedder.version}
        if rows:
            insert_many(connection, face, same, _COLUMNS, rows)
        made = dialect_of(connection).insert(face_mark).values(job_id=job_id, read_to=read_to)
        connection.execute(
            made.on_conflict_do_update(index_elements=[face_mark.c.job_id], set_={"read_to": read_to})
        )
    return read_to - start


def _rows_of(idx: int, found: Any) -> Iterator[tuple[Any, ...]]:
    """The faces of an item's answer. One that cannot be read stops no other."""
    for place, each in enumerate(found):
        try:
            numbers = base64.b64decode(each["embedding"], validate=True)
            told = (float(each["score"]), int(each["side"]), float(each["sharpness"]))
            row = (idx, place, each["box"], each["landmarks"], *told, numbers)
        except (KeyError, TypeError, ValueError, binascii.Error):
            log.warning("face %d of item %d is none that can be kept; it is passed over", place, idx)
            continue
        if _is_embedding(numbers):
            yield row


def _is_embedding(numbers: bytes) -> bool:
    return len(numbers) == 4 * DIMENSIONS and bool(np.isfinite(np.frombuffer(numbers, "<f4")).all())
