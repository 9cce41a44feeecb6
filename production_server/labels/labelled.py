"""All labels of a model as they stand, and the inputs that have them: exports and sets are made of these."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import func, select, tuple_

from production_server.jobs.database import Database
from production_server.jobs.read import belongs_to
from production_server.jobs.tables import decision, item, item_input, item_reference, job
from production_server.labels.records import ItemId, Label
from production_server.labels.standing import is_of, is_word
from production_server.storage.objects import Reference

PAGE = 500
AT_ONCE = 16
"""Inputs that are in memory together."""
_KINDS = (
    (b"\x89PNG", "png"), (b"\xff\xd8", "jpg"), (b"GIF8", "gif"), (b"BM", "bmp"), (b"RIFF", "webp"), (b"P", "pnm"),
)  # fmt: skip
"""How files of images begin: what clients call them need not be so."""


def every_label(database: Database, model: str, *, whose: str | None) -> Iterator[Label]:
    """The label of each item that has one, in the order of jobs, read page by page.

    Raises:
        Unavailable: the database does not answer.
    """
    last = select(func.max(decision.c.id)).join(job, job.c.id == decision.c.job_id)
    last = last.where(decision.c.model == model, is_word(), *belongs_to(job, whose))
    last = last.group_by(decision.c.job_id, decision.c.idx).order_by(decision.c.job_id, decision.c.idx)
    with database.read() as connection:
        ids = list(connection.execute(last).scalars())
    for start in range(0, len(ids), PAGE):
        query = (
            select(decision, item.c.name, item_reference.c.url)
            .join(item, is_of(item.c))
            .outerjoin(item_reference, is_of(item_reference.c))
            .where(decision.c.id.in_(ids[start : start + PAGE]), decision.c.kind == "label")
            .order_by(decision.c.job_id, decision.c.idx)
        )
        with database.read() as connection:
            rows = connection.execute(query).all()
        yield from map(_to_label, rows)


def inputs_of(database: Database, items: Sequence[ItemId]) -> Iterator[tuple[ItemId, bytes | Reference]]:
    """The stored inputs of items, or where they lie; of items that were deleted meanwhile none.

    Raises:
        Unavailable: the database does not answer.
    """
    for start in range(0, len(items), AT_ONCE):
        some = items[start : start + AT_ONCE]
        stored = select(item_input).where(tuple_(item_input.c.job_id, item_input.c.idx).in_(some))
        lie = select(item_reference).where(tuple_(item_reference.c.job_id, item_reference.c.idx).in_(some))
        with database.read() as connection:
            found: dict[ItemId, bytes | Reference] = {
                ItemId(row.job_id, row.idx): bytes(row.payload) for row in connection.execute(stored)
            }
            found |= {
                ItemId(row.job_id, row.idx): Reference(row.url, row.etag, row.size_bytes, row.fault or "")
                for row in connection.execute(lie)
            }
        yield from ((each, found[each]) for each in some if each in found)


def digest_of(found: bytes | Reference) -> bytes:
    """The SHA-256 of an input: of its bytes, or of where it lies and what it was there."""
    told = found if isinstance(found, bytes) else f"{found.url}\n{found.etag}".encode()
    return hashlib.sha256(told).digest()


def suffix_of(data: bytes) -> str | None:
    """What a file of an image is to be called behind its dot; None: it is no image that is taken."""
    return next((kind for start, kind in _KINDS if data.startswith(start)), None)


def _to_label(row: Any) -> Label:
    return Label(
        item=ItemId(row.job_id, row.idx),
        version=row.version,
        label=row.answer,
        who=row.who,
        at=row.at,
        predicted=row.predicted,
        score=row.score,
        name=row.name,
        url=row.url,
    )
