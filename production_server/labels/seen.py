"""What was asked and decided of a model's items, as far as choosing the next question needs it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from production_server.jobs.database import dialect_of
from production_server.jobs.read import belongs_to
from production_server.jobs.tables import decision, job, question
from production_server.labels.pool import Pool
from production_server.labels.records import Chosen, ItemId, Labeller, Order
from production_server.labels.standing import is_standing, is_word

EVERY = 10
"""Of questions in the order of margins, each so-manieth is drawn at random."""
SITTING = 30
"""So many of the last decisions of somebody are what he remembers."""


def turn(connection: Connection, model: str) -> Chosen:
    """Whether it is a random question's turn, by how many were asked."""
    query = (
        select(func.count())
        .select_from(question)
        .where(question.c.model == model, question.c.holder.is_not(None))
    )
    return "random" if connection.execute(query).scalar_one() % EVERY == EVERY - 1 else "margin"


def decided_since(connection: Connection, pool: Pool, model: str) -> set[ItemId]:
    """What was decided, and not taken back, after the pool was read."""
    query = select(decision.c.job_id, decision.c.idx)
    return _items(connection, query.where(decision.c.model == model, decision.c.id > pool.mark, is_word()))


def skipped(connection: Connection, model: str, by: Labeller) -> set[ItemId]:
    """What somebody did not want to answer."""
    is_his = (decision.c.model == model, decision.c.who == by.who, decision.c.client == by.client)
    query = select(decision.c.job_id, decision.c.idx)
    return _items(connection, query.where(*is_his, decision.c.kind == "skip", is_standing()))


def last_decided(connection: Connection, model: str, by: Labeller) -> set[ItemId]:
    """What somebody has decided last."""
    is_his = (decision.c.model == model, decision.c.who == by.who, decision.c.client == by.client)
    query = select(decision.c.job_id, decision.c.idx).where(*is_his, decision.c.kind != "undo")
    return _items(connection, query.order_by(decision.c.id.desc()).limit(SITTING))


def of_others(connection: Connection, model: str, by: Labeller, *, most: int = 1_000) -> list[ItemId]:
    """What others have labelled lately and somebody has not, in any order."""
    own = decision.alias("own")
    is_own = (own.c.job_id == decision.c.job_id, own.c.idx == decision.c.idx, own.c.who == by.who)
    query = (
        select(decision.c.job_id, decision.c.idx)
        .join(job, job.c.id == decision.c.job_id)
        .where(decision.c.model == model, decision.c.kind == "label", decision.c.who != by.who)
        .where(is_standing(), *belongs_to(job, by.whose), decision.c.predicted.is_not(None))
        .where(~select(own.c.id).where(*is_own).exists())
        .order_by(decision.c.id.desc())
        .limit(most)
    )
    found = list(_items(connection, query))
    random.shuffle(found)
    return found


def labelled_undrawn(connection: Connection, model: str, by: Labeller) -> list[ItemId]:
    """What has a label, or a rejection, and was not drawn yet."""
    is_drawn = (question.c.job_id == decision.c.job_id, question.c.idx == decision.c.idx)
    query = (
        select(decision.c.job_id, decision.c.idx)
        .join(job, job.c.id == decision.c.job_id)
        .where(decision.c.model == model, is_word(), decision.c.predicted.is_not(None))
        .where(*belongs_to(job, by.whose))
        .where(~select(question.c.idx).where(*is_drawn, question.c.is_drawn).exists())
    )
    return list(_items(connection, query))


def note_drawn(connection: Connection, drawn: Sequence[ItemId], model: str) -> None:
    """Remember that items were drawn at random which need not be asked about."""
    insert = dialect_of(connection).insert(question)
    statement = insert.on_conflict_do_update(
        index_elements=[question.c.job_id, question.c.idx], set_={"is_drawn": True}
    )
    rows: list[dict[str, Any]] = [
        {"job_id": each.job_id, "idx": each.idx, "model": model, "chosen": "random", "is_drawn": True}
        for each in drawn
    ]
    if rows:
        connection.execute(statement, rows)


def is_answered(connection: Connection, which: ItemId, order: Order, by: Labeller) -> bool:
    """Whether others have answered it in this moment."""
    about = (decision.c.job_id == which.job_id, decision.c.idx == which.idx)
    query = select(decision.c.id).where(*about, is_word()).limit(1)
    if order == "second":
        query = query.where(decision.c.who == by.who)
    return connection.execute(query).one_or_none() is not None


def _items(connection: Connection, query: Any) -> set[ItemId]:
    return {ItemId(row.job_id, row.idx) for row in connection.execute(query)}
