"""From finished items to rows of faces, each once: in bounded batches, resumed anywhere.

A mark for each job says how far it was read. It moves with the rows in one transaction, never goes back, and stops
before an item that is not done yet: so a face that was deleted stays so.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select, tuple_

from production_server.jobs.bulk import insert_many
from production_server.jobs.database import Database, dialect_of
from production_server.jobs.settle import done
from production_server.jobs.tables import face, face_mark, item, item_input, item_reference, job
from production_server.personas.carrying import carry_over
from production_server.personas.records import Embedder
from production_server.personas.state import lock, note_changes

log = logging.getLogger(__name__)

ITEMS_AT_ONCE = 100
"""A picture has up to 256 faces of 700 bytes: 20 MB at the very most."""
JOBS_AT_ONCE = 20
PICTURES_AT_ONCE = 4
"""In memory: one may have many megabytes."""
DONE = ("succeeded", "failed", "cancelled")
DIMENSIONS = 128
_COLUMNS = ("idx", "place", "box", "landmarks", "score", "side", "sharpness", "embedding", "picture")


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
        # Before the lock is taken: pictures are large, and nobody who says something is to wait for them.
        pictures = _pictures(database, row.id)
        with database.write() as connection:
            # Ids of faces are given in the order of commits: who judges them passes none over.
            lock(connection)
            read += _read_some(connection, row.id, Embedder(row.model, row.version), pictures)
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


def _pictures(database: Database, job_id: Any) -> dict[int, bytes | None]:
    """By index, what tells the pictures of the next items that have answers: None where nobody has kept it."""
    is_its = (item_input.c.job_id == item.c.job_id) & (item_input.c.idx == item.c.idx)
    refers = (item_reference.c.job_id == item.c.job_id) & (item_reference.c.idx == item.c.idx)
    place = (item_reference.c.url, item_reference.c.etag, item_reference.c.size_bytes)
    with database.read() as connection:
        start = _read_to(connection, job_id)
        query = (
            select(item.c.idx, item_input.c.payload, *place)
            .outerjoin(item_input, is_its)
            .outerjoin(item_reference, refers)
            .where(item.c.job_id == job_id, item.c.idx >= start, item.c.idx < start + ITEMS_AT_ONCE)
            .where(item.c.state == "succeeded")
            .execution_options(yield_per=PICTURES_AT_ONCE)
        )
        return {row.idx: _digest(row) for row in connection.execute(query)}


def _digest(row: Any) -> bytes | None:
    """SHA-256 of a picture, or, of one in a bucket, of where it lies and what it was when it was listed."""
    if row.payload is not None:
        return hashlib.sha256(row.payload).digest()
    if row.url is None:
        return None
    told = json.dumps([row.url, row.etag, row.size_bytes])
    return hashlib.sha256(told.encode()).digest()


def _read_to(connection: Connection, job_id: Any) -> int:
    at = select(face_mark.c.read_to).where(face_mark.c.job_id == job_id)
    return connection.execute(at).scalar_one_or_none() or 0


def _read_some(
    connection: Connection, job_id: Any, embedder: Embedder, pictures: Mapping[int, bytes | None]
) -> int:
    start = _read_to(connection, job_id)
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
            if each.idx not in pictures:
                # It was answered, or another process has read up to it, since they were read.
                break
            rows += ((*row, pictures[each.idx]) for row in _rows_of(each.idx, each.output or ()))
        read_to = each.idx + 1
    if read_to > start:
        same = {"job_id": job_id, "model": embedder.model, "version": embedder.version}
        if rows:
            insert_many(connection, face, same, _COLUMNS, rows)
            _carry_over(connection, job_id, start)
        made = dialect_of(connection).insert(face_mark).values(job_id=job_id, read_to=read_to)
        connection.execute(
            made.on_conflict_do_update(index_elements=[face_mark.c.job_id], set_={"read_to": read_to})
        )
    return read_to - start


def _carry_over(connection: Connection, job_id: Any, start: int) -> None:
    """What was said of these faces as other versions have found them is said of them."""
    is_new = select(face.c.id).where(face.c.job_id == job_id, face.c.idx >= start)
    carried = carry_over(connection, set(connection.execute(is_new).scalars()))
    if carried:
        note_changes(connection, len(carried))


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
