"""Buckets that do not answer: since when, when each is asked again, and which jobs wait for them.

What one worker has seen holds for all: there is one row for a bucket, and it is gone with the first answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, case, delete, func, select, update

from production_server.jobs.database import Database, dialect_of, now
from production_server.jobs.leases import FREE, is_held, next_try_of
from production_server.jobs.object_chunks import IS_PAUSED, ObjectChunk, is_mine, pause_after
from production_server.jobs.reasons import storable_reason
from production_server.jobs.tables import away_bucket, object_chunk, scan


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Why a job's objects do not come: what was said of the last try in vain, and when the next one is; None: now."""

    bucket: str
    message: str
    next_try_at: float | None


def note_away(database: Database, held: ObjectChunk, message: str) -> None:
    """A bucket did not answer who fetched this chunk; all that lies in it waits, and the next try is later each time.

    Who did not ask as the bucket's probe changes nothing that is noted already.
    """
    message = storable_reason(message)
    found = {"bucket": held.bucket, "since": now(), "tries": 1, "message": message}
    noted = found | {"next_try_at": now() + pause_after(1)}
    with database.write() as connection:
        connection.execute(
            update(object_chunk).where(is_mine(held)).values(tries=object_chunk.c.tries + 1, **FREE)
        )
        if not held.is_probe:
            insert = dialect_of(connection).insert(away_bucket).values(noted)
            connection.execute(insert.on_conflict_do_nothing())
            return
        is_probed = is_held(away_bucket, held.token)
        tries = connection.execute(select(away_bucket.c.tries).where(is_probed)).scalar()
        if tries is not None:
            values = {"tries": tries + 1, "message": message, "next_try_at": now() + pause_after(tries + 1)}
            connection.execute(update(away_bucket).where(is_probed).values(values | FREE))


def note_answer(database: Database, bucket: str) -> None:
    """A bucket answers (again): all that waits for it may be fetched."""
    with database.write() as connection:
        connection.execute(delete(away_bucket).where(away_bucket.c.bucket == bucket))


def why_away(database: Database, bucket: str) -> str:
    """What was said of the last try to reach a bucket that is not asked just now; empty: it may be asked.

    Where nothing waits for it any more nobody asks whether it is back, and what was noted may be long over.
    """
    query = select(away_bucket.c.message).where(away_bucket.c.bucket == bucket, IS_PAUSED)
    with database.read() as connection:
        return connection.execute(query).scalar_one_or_none() or ""


def waiting_for(database: Database, job_ids: Collection[UUID]) -> Mapping[UUID, Waiting]:
    """Of each of these jobs that waits for objects which did not come, or for a listing: for which bucket, and why."""
    if not job_ids:
        return {}
    with database.read() as connection:
        rows = [row for query in (_listings(job_ids), _objects(job_ids)) for row in connection.execute(query)]
    return {
        row.job_id: Waiting(bucket=row.bucket, message=row.message, next_try_at=row.next_try_at)
        for row in rows
    }


def _objects(job_ids: Collection[UUID]) -> Select[Any]:
    """The buckets that each job waits for; the one that it has waited for longest comes last."""
    is_missing = away_bucket.c.bucket.is_not(None) | object_chunk.c.missing_since.is_not(None)
    next_try_at = case(
        (away_bucket.c.bucket.is_(None), next_try_of(object_chunk)),
        # Who holds it asks.
        (
            away_bucket.c.lease_token.is_(None) & IS_PAUSED,
            away_bucket.c.next_try_at,
        ),
    )
    return (
        select(
            object_chunk.c.job_id,
            object_chunk.c.bucket,
            func.max(func.coalesce(away_bucket.c.message, object_chunk.c.message)).label("message"),
            func.max(next_try_at).label("next_try_at"),
        )
        .outerjoin(away_bucket, away_bucket.c.bucket == object_chunk.c.bucket)
        .where(object_chunk.c.job_id.in_(job_ids), is_missing)
        .group_by(object_chunk.c.job_id, object_chunk.c.bucket)
        .order_by(func.min(func.coalesce(away_bucket.c.since, object_chunk.c.missing_since)).desc())
    )


def _listings(job_ids: Collection[UUID]) -> Select[Any]:
    """The listings that do not go on."""
    return select(
        scan.c.id.label("job_id"),
        scan.c.url.label("bucket"),
        scan.c.error_message.label("message"),
        next_try_of(scan).label("next_try_at"),
    ).where(scan.c.id.in_(job_ids), scan.c.state == "listing", scan.c.error_message.is_not(None))
