"""Labels that come in files become decisions: of those that cannot, it is told why, and the others are stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Connection, insert, select, tuple_

from production_server.errors import Fault, InvalidInput
from production_server.jobs.database import Database, now
from production_server.jobs.read import belongs_to
from production_server.jobs.tables import decision, item, item_reference, job
from production_server.labels.answers import read_answer
from production_server.labels.files import Line, Told
from production_server.labels.records import Decision, ItemId, Labeller
from production_server.labels.standing import current_in
from production_server.models.tasks.task import Task
from production_server.shown import describe

AT_ONCE = 500
"""Lines that are stored in one transaction."""
FAULTS_TOLD = 100


@dataclass(slots=True)
class Brought:
    """What came of a file."""

    stored: int = 0
    unchanged: int = 0
    """Lines that say what the same person has said already, and nobody otherwise since."""
    refused: int = 0
    faults: list[Fault] = field(default_factory=list)
    """Why, of the first hundred, in order."""
    seen: set[ItemId] = field(default_factory=set)

    def refuse(self, fault: Fault) -> None:
        """Note that a line cannot be stored."""
        self.refused += 1
        if len(self.faults) < FAULTS_TOLD:
            self.faults.append(fault)


def bring(database: Database, task: Task, lines: Iterable[Line], *, by: Labeller, is_new: bool) -> Brought:
    """Store what lines of a file say of a model's items; `is_new`: labels that the model does not have, too.

    Sent again, a file changes nothing. Of several items that a name or an address means, the latest is meant.

    Raises:
        Unavailable: the database does not answer; what was stored until then stays.
    """
    brought = Brought()
    for some in _batches(lines, AT_ONCE):
        told = []
        for line in some:
            checked = _checked(line, task, is_new=is_new)
            if isinstance(checked, Fault):
                brought.refuse(checked)
            else:
                told.append(checked)
        if told:
            _store(database, task.manifest.name, told, by, brought)
    return brought


def _batches(lines: Iterable[Line], size: int) -> Iterator[list[Line]]:
    rest = iter(lines)
    while some := list(islice(rest, size)):
        yield some


def _checked(line: Line, task: Task, *, is_new: bool) -> Line:
    """A line with the label that is meant."""
    if isinstance(line, Fault):
        return line
    try:
        label = read_answer(task, line.label, is_new=is_new)
    except InvalidInput as exc:
        return Fault(line.where, exc.faults[0].expected, exc.faults[0].got)
    return Told(line.where, label, line.item, line.url, line.name)


def _store(database: Database, model: str, told: Sequence[Told], by: Labeller, brought: Brought) -> None:
    with database.write(may_take_long=True) as connection:
        named = _named(connection, model, told, by)
        wanted = {each.where: each.item or named.get(each.url or each.name or "") for each in told}
        about = _found(connection, model, [which for which in wanted.values() if which], by)
        before = current_in(connection, list(about))
        at = connection.execute(select(now())).scalar_one()
        rows = []
        for each in told:
            which = wanted[each.where]
            row = about.get(which) if which else None
            if which is None or row is None:
                brought.refuse(Fault(each.where, f"an item of {model}", _shown(each)))
                continue
            if which in brought.seen:
                brought.refuse(Fault(each.where, "each item once", _shown(each)))
                continue
            brought.seen.add(which)
            if _says_so(before.get(which), each, by):
                brought.unchanged += 1
                continue
            replaced = before.get(which)
            rows.append(_row(which, row, each, by, replaced, at))
        if rows:
            connection.execute(insert(decision), rows)
        brought.stored += len(rows)


def _says_so(before: Decision | None, told: Told, by: Labeller) -> bool:
    return (
        before is not None and before.kind == "label" and (before.answer, before.who) == (told.label, by.who)
    )


def _found(connection: Connection, model: str, items: Sequence[ItemId], by: Labeller) -> dict[ItemId, Any]:
    """The items that there are, whose jobs nothing deletes until the end."""
    if not items:
        return {}
    query = (
        select(item.c.job_id, item.c.idx, item.c.label, item.c.score, job.c.model, job.c.version)
        .join(job, job.c.id == item.c.job_id)
        .where(tuple_(item.c.job_id, item.c.idx).in_(items), job.c.model == model)
        .where(*belongs_to(job, by.whose))
        .with_for_update(of=job, read=True, key_share=True)
    )
    return {ItemId(row.job_id, row.idx): row for row in connection.execute(query)}


def _named(connection: Connection, model: str, told: Sequence[Told], by: Labeller) -> dict[str, ItemId]:
    """The latest items of these addresses and names."""
    is_his = (job.c.model == model, *belongs_to(job, by.whose))
    found: dict[str, ItemId] = {}
    if urls := [each.url for each in told if each.item is None and each.url is not None]:
        query = (
            select(item_reference.c.job_id, item_reference.c.idx, item_reference.c.url.label("called"))
            .join(job, job.c.id == item_reference.c.job_id)
            .where(item_reference.c.url.in_(urls), *is_his)
            .order_by(item_reference.c.job_id, item_reference.c.idx)
        )
        found |= {row.called: ItemId(row.job_id, row.idx) for row in connection.execute(query)}
    if names := [each.name for each in told if each.item is None and each.url is None and each.name]:
        query = (
            select(item.c.job_id, item.c.idx, item.c.name.label("called"))
            .join(job, job.c.id == item.c.job_id)
            .where(item.c.name.in_(names), *is_his)
            .order_by(item.c.job_id, item.c.idx)
        )
        found |= {row.called: ItemId(row.job_id, row.idx) for row in connection.execute(query)}
    return found


def _row(
    which: ItemId, about: Any, told: Told, by: Labeller, replaced: Decision | None, at: float
) -> Mapping[str, Any]:
    return {
        "job_id": which.job_id,
        "idx": which.idx,
        "model": about.model,
        "version": about.version,
        "client": by.client,
        "who": by.who,
        "at": at,
        "kind": "label",
        "answer": told.label,
        "predicted": about.label,
        "score": about.score,
        "chosen": "import",
        "replaces": None if replaced is None else replaced.id,
    }


def _shown(told: Told) -> str:
    if told.item is not None:
        return f"{told.item.job_id}, {told.item.idx}"
    return describe(told.url or told.name)
