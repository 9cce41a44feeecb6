"""Who has which question in hand: for a while, so that what is left by somebody comes back by itself."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, func, or_, select, update

from production_server.jobs.clock import is_ahead
from production_server.jobs.database import dialect_of, now
from production_server.jobs.tables import decision, job, question
from production_server.labels.records import Chosen, Decision, ItemId, Labeller
from production_server.labels.standing import is_of, is_word

LEASE_S = 300.0
"""So long a question is kept for whoever was asked."""


def lease(
    connection: Connection,
    which: ItemId,
    model: str,
    chosen: Chosen,
    *,
    by: Labeller,
    undone_by: int | None = None,
) -> bool:
    """Give somebody a question; False: somebody else has it by now, or its item is gone.

    `undone_by`: the decision that puts it back in his hands.
    """
    # Its job is kept from being deleted until the end of the transaction.
    is_it = select(job.c.id).where(job.c.id == which.job_id).with_for_update(read=True, key_share=True)
    if connection.execute(is_it).one_or_none() is None:
        return False
    told = {"holder": by.holder, "lease_until": now() + LEASE_S, "chosen": chosen, "undone_by": undone_by}
    is_random = chosen == "random"
    insert = dialect_of(connection).insert(question)
    statement = insert.values(
        job_id=which.job_id, idx=which.idx, model=model, is_drawn=is_random, **told
    ).on_conflict_do_update(
        index_elements=[question.c.job_id, question.c.idx],
        set_=told | {"is_drawn": or_(question.c.is_drawn, insert.excluded.is_drawn)},
        where=or_(
            question.c.holder.is_(None),
            question.c.holder == by.holder,
            question.c.lease_until.is_(None),
            ~is_held(),
        ),
    )
    return connection.execute(statement.returning(question.c.idx)).one_or_none() is not None


def is_held() -> ColumnElement[bool]:
    """Whether somebody has a question in hand."""
    return is_ahead(question.c.lease_until, longest_s=LEASE_S)


def release(connection: Connection, which: ItemId) -> None:
    """End the lease of an item that was answered."""
    is_it = (question.c.job_id == which.job_id, question.c.idx == which.idx)
    connection.execute(update(question).where(*is_it).values(lease_until=None))


def put_back_in_hand(connection: Connection, taken_back: Decision, by: Labeller) -> None:
    """Ask somebody again what an undo of his has taken back, before anything else."""
    about = taken_back.item, taken_back.model, taken_back.chosen
    lease(connection, *about, by=by, undone_by=taken_back.id)


def asked_as(connection: Connection, which: ItemId, by: Labeller) -> Chosen | None:
    """How the question was chosen that somebody answers, also where its lease has ended; None: he was not asked."""
    is_it = (question.c.job_id == which.job_id, question.c.idx == which.idx)
    query = select(question.c.chosen).where(*is_it, question.c.holder == by.holder)
    return connection.execute(query).scalar_one_or_none()


def in_hand(connection: Connection, model: str, *, by: Labeller) -> list[tuple[ItemId, Chosen]]:
    """The questions that somebody was asked and has not answered: what he has taken back last, then in order.

    What others have answered meanwhile is not among them, unless it is their answers that are asked about.
    """
    is_answered = select(decision.c.id).where(is_of(question.c), is_word()).exists()
    query = (
        select(question.c.job_id, question.c.idx, question.c.chosen)
        .where(question.c.model == model, question.c.holder == by.holder, is_held())
        .where(or_(question.c.chosen == "second", ~is_answered))
        .order_by(func.coalesce(question.c.undone_by, 0).desc(), question.c.lease_until)
    )
    return [(ItemId(row.job_id, row.idx), row.chosen) for row in connection.execute(query)]


def held_by_others(connection: Connection, model: str, *, by: Labeller) -> set[ItemId]:
    """What nobody else is to be asked about."""
    query = select(question.c.job_id, question.c.idx).where(
        question.c.model == model, is_held(), question.c.holder != by.holder
    )
    return {ItemId(row.job_id, row.idx) for row in connection.execute(query)}
