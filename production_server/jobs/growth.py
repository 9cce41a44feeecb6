"""Jobs that grow: objects of buckets become their items, page by page, each object once for a version of a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update

from production_server.errors import retryable_codes
from production_server.jobs.bulk import insert_many
from production_server.jobs.database import dialect_of
from production_server.jobs.object_chunks import enter
from production_server.jobs.priority import decide_priority
from production_server.jobs.records import ANONYMOUS_NAME
from production_server.jobs.tables import classified_object, item, item_reference, job
from production_server.storage.names import storable
from production_server.storage.objects import Reference

MAX_NAME = 255
Asker = tuple[str, str, str]
"""Who wants an object: a model, its version, and the client that has it answer."""
Retake = Literal["nothing", "failed", "everything"]
"""Which items count for nothing: none; those that were cancelled, or failed for a reason that may be gone; all of
other jobs."""


def add_objects(
    connection: Connection,
    job_id: UUID,
    asker: Asker,
    references: Sequence[Reference],
    *,
    chunk_items: int,
    retake: Retake = "nothing",
) -> range:
    """Add those objects to a job that its client has not given this version of the model; returns their indexes.

    They wait to be fetched in chunks of at most `chunk_items`. One whose name or etag cannot be stored becomes an item
    that fails with the reason. Two who add the same object at once make one item of it.
    """
    by_digest = {digest_of(asker, reference): reference for reference in references}
    _forget(connection, job_id, list(by_digest), retake)
    asked = connection.execute(
        select(job.c.total, job.c.priority, job.c.is_growing).where(job.c.id == job_id)
    ).one()
    start = asked.total
    new = _enter(connection, job_id, list(by_digest), start)
    added = [storable(by_digest[digest]) for digest in new]
    _insert(connection, job_id, start, added)
    priority = decide_priority(asked.priority, len(added), is_growing=asked.is_growing)
    enter(connection, job_id, start, added, priority=priority, chunk_items=chunk_items)
    connection.execute(
        update(job)
        .where(job.c.id == job_id)
        .values(total=job.c.total + len(added), effective_priority=priority, of_objects=True)
    )
    return range(start, start + len(added))


def fill_with_objects(
    connection: Connection, job_id: UUID, references: Sequence[Reference], *, chunk_items: int
) -> None:
    """Make the items of a new job, whose total is known, of objects, however often they were given before."""
    stored = [storable(reference) for reference in references]
    _insert(connection, job_id, 0, stored)
    its = select(job.c.effective_priority).where(job.c.id == job_id)
    priority = connection.execute(its).scalar_one()
    enter(connection, job_id, 0, stored, priority=priority, chunk_items=chunk_items)


def count_new(
    connection: Connection, asker: Asker, references: Sequence[Reference], *, retake: Retake
) -> int:
    """How many of those objects `add_objects` would make items of."""
    digests = {digest_of(asker, reference) for reference in references}
    if retake == "everything":
        return len(digests)
    is_known: ColumnElement[bool] = classified_object.c.digest.in_(digests)
    if retake == "failed":
        is_known &= ~_has_come_to_nothing()
    known = select(func.count()).select_from(classified_object).where(is_known)
    return len(digests) - connection.execute(known).scalar_one()


def digest_of(asker: Asker, reference: Reference) -> bytes:
    """What an object is called in `classified_object`: SHA-256 over model, version, URL, etag and client."""
    model, version, client = asker
    # Releases without clients have entered objects without one.
    owner = () if client == ANONYMOUS_NAME else (client,)
    told = "\0".join((model, version, reference.url, reference.etag, *owner))
    # A name that is not UTF-8 has lone surrogates, and must not have the digest of one that reads like it.
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).digest()


def _forget(connection: Connection, job_id: UUID, digests: Sequence[bytes], retake: Retake) -> None:
    """Make room for objects that are to be classified anew."""
    if retake == "nothing":
        return
    is_asked = classified_object.c.digest.in_(digests)
    is_retaken = _has_come_to_nothing() if retake == "failed" else _is_of_another(job_id)
    connection.execute(delete(classified_object).where(is_asked & is_retaken))


def _is_of_another(job_id: UUID) -> ColumnElement[bool]:
    return classified_object.c.job_id != job_id


def _has_come_to_nothing() -> ColumnElement[bool]:
    is_vain = (item.c.state == "cancelled") | (
        (item.c.state == "failed") & item.c.error_code.in_(retryable_codes())
    )
    return (
        select(item.c.idx)
        .where(item.c.job_id == classified_object.c.job_id, item.c.idx == classified_object.c.idx, is_vain)
        .exists()
    )


def _enter(connection: Connection, job_id: UUID, digests: Sequence[bytes], start: int) -> list[bytes]:
    """Enter those that are not entered yet, with indexes from `start` on; returns them in order."""
    if not digests:
        return []
    # In one order, whoever enters them: two who did it in different ones could wait for each other.
    rows = [
        {"digest": digest, "job_id": job_id, "idx": start + place}
        for place, digest in sorted(enumerate(digests), key=lambda entry: entry[1])
    ]
    statement = (
        dialect_of(connection)
        .insert(classified_object)
        .on_conflict_do_nothing()
        .returning(classified_object.c.digest)
    )
    entered = set(connection.execute(statement, rows).scalars())
    new = [digest for digest in digests if digest in entered]
    moved = [
        {"key": digest, "place": start + place}
        for place, digest in enumerate(new)
        if digest != digests[place]
    ]
    if moved:
        is_one = classified_object.c.digest == bindparam("key")
        connection.execute(update(classified_object).where(is_one).values(idx=bindparam("place")), moved)
    return new


def _insert(connection: Connection, job_id: UUID, start: int, references: Sequence[Reference]) -> None:
    if not references:
        return
    insert_many(
        connection,
        item,
        {"job_id": job_id, "state": "queued"},
        ("idx", "name"),
        ((index, _name_of(reference)) for index, reference in enumerate(references, start)),
    )
    insert_many(
        connection,
        item_reference,
        {"job_id": job_id},
        ("idx", "url", "etag", "size_bytes", "fault"),
        (
            (index, reference.url, reference.etag, reference.size_bytes, reference.fault or None)
            for index, reference in enumerate(references, start)
        ),
    )


def _name_of(reference: Reference) -> str:
    """The last part of its key, as a name that can be shown."""
    return (
        "".join(filter(str.isprintable, reference.url.rstrip("/").rpartition("/")[2]))[:MAX_NAME] or "unnamed"
    )
