"""Saying what an item is, and taking it back: each is a row that nobody changes."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Connection, func, select

from production_server.errors import Conflict, InvalidInput, NotFound
from production_server.jobs.database import Database, dialect_of, now
from production_server.jobs.read import belongs_to
from production_server.jobs.tables import decision, item, job
from production_server.labels.leases import asked_as, put_back_in_hand, release
from production_server.labels.records import Decision, ItemId, Kind, Labeller, NewDecision
from production_server.labels.standing import is_among, is_standing, is_word, to_decision

MOST_TRIES = 100
"""To find the last decision that nobody has undone, while others undo as well."""


def decide(database: Database, said: NewDecision, *, by: Labeller) -> tuple[Decision, bool]:
    """Store what somebody says of an item; returns it, and whether it is new.

    Of a model with two labels, what is not the one is the other.

    Raises:
        NotFound: the model has no such item that he may label, or it was deleted meanwhile.
        InvalidInput: he says that the answer is right, or wrong, and there is none.
        Conflict: the client used the idempotency key for something else.
        Unavailable: the database does not answer.
    """
    digest = _digest(said.model, said.item, said.kind, said.answer)
    with database.write() as connection:
        before = _repeated(connection, by, said.idempotency_key, digest)
        if before is not None:
            return before, False
        about = _lock(connection, said.item, said.model, by)
        values = {
            "kind": said.kind,
            "answer": said.answer,
            "chosen": asked_as(connection, said.item, by) or "direct",
            "replaces": connection.execute(
                select(func.max(decision.c.id)).where(is_among([said.item]), is_word())
            ).scalar_one(),
            "request_digest": digest,
            "idempotency_key": said.idempotency_key,
            **_answer(said, about.label),
        }
        made = _insert(connection, by, about, values)
        if made is None:  # Another request with this key came at the same moment.
            before = _repeated(connection, by, said.idempotency_key, digest)
            if before is None:
                raise Conflict("the idempotency key was used for something else")
            return before, False
        release(connection, said.item)
        return made, True


def undo(
    database: Database,
    model: str,
    *,
    by: Labeller,
    decision_id: int | None = None,
    idempotency_key: str | None = None,
) -> Decision:
    """Take back what somebody has said last that still counts, or one decision; its item is in his hands again.

    Raises:
        NotFound: he has said nothing that counts, or there is no such decision of his (code `decision_not_found`).
        Conflict: that one is undone already (code `decision_undone`), or the key was used for something else.
        Unavailable: the database does not answer.
    """
    digest = _digest(model, decision_id, "undo")
    with database.write() as connection:
        before = _repeated(connection, by, idempotency_key, digest)
        if before is not None:
            return before
        for _ in range(MOST_TRIES):
            undone = _to_undo(connection, model, by, decision_id)
            about = _lock(connection, undone.item, model, by)
            values = {
                "kind": "undo",
                "answer": undone.answer,
                "chosen": undone.chosen,
                "replaces": undone.id,
                "request_digest": digest,
                "idempotency_key": idempotency_key,
            }
            made = _insert(connection, by, about, values)
            if made is not None:
                put_back_in_hand(connection, made, by)
                return made
            before = _repeated(connection, by, idempotency_key, digest)
            if before is not None:
                return before
        raise Conflict("somebody else undoes the same", code="decision_undone")


def list_decisions(
    database: Database, model: str, *, whose: str | None, before: int | None = None, limit: int
) -> list[Decision]:
    """What was said of items of a model, newest first, undone or not; `before` is the last one of the page before.

    Raises:
        Unavailable: the database does not answer.
    """
    query = select(decision).where(decision.c.model == model).order_by(decision.c.id.desc()).limit(limit)
    if whose is not None:
        query = query.join(job, job.c.id == decision.c.job_id).where(job.c.client == whose)
    if before is not None:
        query = query.where(decision.c.id < before)
    with database.read() as connection:
        return [to_decision(row) for row in connection.execute(query)]


def _repeated(connection: Connection, by: Labeller, key: str | None, digest: str) -> Decision | None:
    """What was stored under an idempotency key, if anything was."""
    if key is None:
        return None
    is_it = (decision.c.client == by.client, decision.c.idempotency_key == key)
    row = connection.execute(select(decision).where(*is_it)).one_or_none()
    if row is None:
        return None
    if row.request_digest != digest:
        raise Conflict("the idempotency key was used for something else")
    return to_decision(row)


def _lock(connection: Connection, which: ItemId, model: str, by: Labeller) -> Any:
    """An item that somebody may label, which nobody else decides, and nothing deletes, until the end."""
    is_it = (item.c.job_id == which.job_id, item.c.idx == which.idx, job.c.model == model)
    query = select(item.c.job_id, item.c.idx, item.c.label, item.c.score, job.c.model, job.c.version)
    query = query.join(job, job.c.id == item.c.job_id).where(*is_it, *belongs_to(job, by.whose))
    row = connection.execute(query.with_for_update(of=item)).one_or_none()
    if row is None:
        detail = f"{model} has no item {which.idx} of a job {which.job_id}; it may have been deleted"
        raise NotFound(detail, code="item_not_found")
    return row


def _answer(said: NewDecision, predicted: str | None) -> dict[str, Any]:
    """What is said, with the answer that it is about."""
    if said.kind in ("ignore", "skip"):
        return {"answer": None}
    answer = said.answer or predicted
    if answer is None:
        raise InvalidInput.at("label", "a label: the model has not answered this item", "none")
    if said.kind == "reject" and len(said.choices) == 2 and answer in said.choices:
        return {"kind": "label", "answer": said.choices[1 - said.choices.index(answer)]}
    return {"answer": answer}


def _insert(connection: Connection, by: Labeller, about: Any, values: dict[str, Any]) -> Decision | None:
    """Store a decision; None: there is one with its key, or one that undoes the same."""
    told = {
        "job_id": about.job_id,
        "idx": about.idx,
        "model": about.model,
        "version": about.version,
        "client": by.client,
        "who": by.who,
        "at": now(),
        "predicted": about.label,
        "score": about.score,
    }
    statement = dialect_of(connection).insert(decision).values(told | values).on_conflict_do_nothing()
    row = connection.execute(statement.returning(decision)).one_or_none()
    return None if row is None else to_decision(row)


def _to_undo(connection: Connection, model: str, by: Labeller, decision_id: int | None) -> Decision:
    is_his = (decision.c.model == model, decision.c.client == by.client, decision.c.who == by.who)
    query = select(decision).where(*is_his, decision.c.kind != "undo")
    if decision_id is None:
        query = query.where(is_standing()).order_by(decision.c.id.desc()).limit(1)
    else:
        query = query.where(decision.c.id == decision_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        which = "decision that counts" if decision_id is None else f"decision {decision_id}"
        raise NotFound(f"there is no {which} of {by.who} about {model}", code="decision_not_found")
    if decision_id is not None and not _stands(connection, decision_id):
        raise Conflict(f"decision {decision_id} is undone already", code="decision_undone")
    return to_decision(row)


def _stands(connection: Connection, decision_id: int) -> bool:
    query = select(decision.c.id).where(decision.c.id == decision_id, is_standing())
    return connection.execute(query).one_or_none() is not None


def _digest(model: str, about: ItemId | int | None, kind: Kind, answer: str | None = None) -> str:
    """The SHA-256 of what is asked: what makes two requests under one idempotency key the same."""
    return hashlib.sha256(repr((model, about, kind, answer)).encode(errors="backslashreplace")).hexdigest()
