"""Sets of labels: how a model's labels stood once, under a name and with a digest, to be trained on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from production_server.errors import Conflict, InvalidInput, NotFound, TooLarge
from production_server.jobs.bulk import insert_many
from production_server.jobs.database import Database, dialect_of, now
from production_server.jobs.read import belongs_to
from production_server.jobs.tables import item, item_reference, job, label_set, label_set_item
from production_server.labels.labelled import digest_of, every_label, inputs_of
from production_server.labels.records import ItemId, Label
from production_server.shown import describe

MOST_ITEMS = 200_000
NAME_RULE = "1 to 64 lower case letters, digits and any of . _ -, a letter or digit first"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSet:
    """What a set is; it never changes."""

    id: int
    name: str
    model: str
    client: str
    created_at: float
    items: int
    digest: str
    """SHA-256 over the inputs and their labels, whatever jobs they came in and in which order."""


def make_set(database: Database, name: str, model: str, *, whose: str | None, client: str) -> LabelSet:
    """Keep the labels of a model as they stand now.

    Raises:
        InvalidInput: it cannot be called so, or there are no labels. TooLarge: there are too many.
        Conflict: there is a set of that name (code `label_set_exists`).
        Unavailable: the database does not answer.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput.at("name", NAME_RULE, describe(name))
    labels = {each.item: each.label for each in every_label(database, model, whose=whose)}
    if not labels:
        raise InvalidInput.at("model", "a model with labels", f"{model}, which has none")
    if len(labels) > MOST_ITEMS:
        raise TooLarge.at("model", f"at most {MOST_ITEMS:,} labels", f"{len(labels):,}")
    digest = _digest(database, labels)
    told = {"name": name, "model": model, "client": client, "items": len(labels), "digest": digest}
    with database.write(may_take_long=True) as connection:
        insert = dialect_of(connection).insert(label_set).values(created_at=now(), **told)
        row = connection.execute(insert.on_conflict_do_nothing().returning(label_set)).one_or_none()
        if row is None:
            detail = f"there is a set {name} already, and sets never change: give this one another name"
            raise Conflict(detail, code="label_set_exists")
        members = ((*which, label) for which, label in labels.items())
        insert_many(connection, label_set_item, {"set_id": row.id}, ("job_id", "idx", "label"), members)
        return _to_set(row)


def list_sets(database: Database, *, whose: str | None, limit: int) -> list[LabelSet]:
    """Sets of a client, or of all, newest first.

    Raises:
        Unavailable: the database does not answer.
    """
    query = select(label_set).where(*belongs_to(label_set, whose)).order_by(label_set.c.id.desc())
    with database.read() as connection:
        return [_to_set(row) for row in connection.execute(query.limit(limit))]


def get_set(database: Database, name: str, *, whose: str | None) -> LabelSet:
    """A set by its name.

    Raises:
        NotFound: a client of that name has none that is called so; None: nobody has (code `label_set_not_found`).
        Unavailable: the database does not answer.
    """
    query = select(label_set).where(label_set.c.name == name, *belongs_to(label_set, whose))
    with database.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no set of labels {describe(name)}", code="label_set_not_found")
    return _to_set(row)


def labels_of_set(database: Database, found: LabelSet) -> Iterator[Label]:
    """The labels in a set, in the order of jobs; who has said them is not kept with it.

    Raises:
        Unavailable: the database does not answer.
    """
    query = (
        select(label_set_item, item.c.name.label("file"), item_reference.c.url, job.c.version)
        .join(job, job.c.id == label_set_item.c.job_id)
        .join(item, (item.c.job_id == label_set_item.c.job_id) & (item.c.idx == label_set_item.c.idx))
        .outerjoin(
            item_reference,
            (item_reference.c.job_id == label_set_item.c.job_id)
            & (item_reference.c.idx == label_set_item.c.idx),
        )
        .where(label_set_item.c.set_id == found.id)
        .order_by(label_set_item.c.job_id, label_set_item.c.idx)
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
    yield from map(_to_label, rows)


def check_is_whole(database: Database, found: LabelSet) -> None:
    """Whether the items of a set are still what they were.

    Raises:
        Conflict: some were deleted since, or changed.
        Unavailable: the database does not answer.
    """
    labels = {each.item: each.label for each in labels_of_set(database, found)}
    if len(labels) < found.items:
        raise Conflict(
            f"set {found.name}: {found.items - len(labels)} of {found.items} items were deleted since"
        )
    if _digest(database, labels) != found.digest:
        raise Conflict(f"set {found.name}: its items are not what they were: their digest differs")


def _digest(database: Database, labels: dict[ItemId, str]) -> str:
    told = sorted(
        digest_of(found) + labels[which].encode(errors="surrogatepass")
        for which, found in inputs_of(database, list(labels))
    )
    whole = hashlib.sha256()
    for each in told:
        whole.update(len(each).to_bytes(4) + each)
    return whole.hexdigest()


def _to_set(row: Any) -> LabelSet:
    return LabelSet(
        id=row.id,
        name=row.name,
        model=row.model,
        client=row.client,
        created_at=row.created_at,
        items=row.items,
        digest=row.digest,
    )


def _to_label(row: Any) -> Label:
    return Label(
        item=ItemId(row.job_id, row.idx),
        version=row.version,
        label=row.label,
        who=None,
        at=None,
        predicted=None,
        score=None,
        name=row.file,
        url=row.url,
    )
