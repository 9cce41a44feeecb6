"""Imports: files that clients have sent, on their way to being versions. Whoever makes one holds a lease."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert, select, update

from production_server.errors import CeleriacError, Conflict, Fault, InvalidInput, NotFound
from production_server.jobs.database import Database, now
from production_server.jobs.job_row import uuid7
from production_server.jobs.leases import FREE, free_after, is_held, may_be_taken, renewed, taken
from production_server.jobs.read import belongs_to
from production_server.jobs.reasons import storable_reason
from production_server.jobs.records import ImportState
from production_server.jobs.tables import model_import

Told = Callable[[Connection], None]
"""What else is written in the transaction in which an import ends."""
LONGEST_SAID = 500
OPEN = ("waiting", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImport:
    """What is to become of a file; `asked` and `actor` are JSON, and come back as they are."""

    client: str
    model: str
    file: str
    """What its sender calls it."""
    asked: Mapping[str, Any]
    actor: Mapping[str, Any]
    needs_tensorflow: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelImport:
    """An import as it stands. Times in seconds since the Unix epoch, UTC."""

    id: UUID
    client: str
    model: str
    file: str
    asked: Mapping[str, Any]
    actor: Mapping[str, Any]
    needs_tensorflow: bool
    state: ImportState
    said: str
    """What is being done, for people."""
    tries: int
    """How often somebody has begun; he may have died of it."""
    created_at: float
    finished_at: float | None
    notes: tuple[str, ...]
    """What was assumed, a sentence each."""
    manifest: Mapping[str, Any] | None
    """Of the version that it has become, or, of a dry run, would have."""
    report: Mapping[str, Any] | None
    """What the gate says of it, if it came so far."""
    error_code: str | None
    error_message: str | None
    faults: tuple[Fault, ...]

    @property
    def is_over(self) -> bool:
        return self.state not in OPEN

    @classmethod
    def of(cls, row: Any) -> Self:
        """A row of `model_import` as a value."""
        told = {name: getattr(row, name) for name in _AS_THEY_ARE}
        notes, faults = tuple(row.notes or ()), tuple(Fault(*each) for each in row.faults or ())
        return cls(**told, notes=notes, faults=faults)


_AS_THEY_ARE = (
    "id", "client", "model", "file", "asked", "actor", "needs_tensorflow", "state", "said", "tries", "created_at",
    "finished_at", "manifest", "report", "error_code", "error_message",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImportClaim:
    """The right to make a version; `token` fences off whoever had it before."""

    found: ModelImport
    token: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an import has ended: with a manifest, or with an error."""

    notes: Sequence[str] = ()
    manifest: Mapping[str, Any] | None = None
    report: Mapping[str, Any] | None = None
    error: CeleriacError | None = None


def add_import(database: Database, import_id: UUID, new: NewImport) -> ModelImport:
    """Store an import whose files lie ready.

    Raises:
        Unavailable: the database does not answer; nothing was accepted.
    """
    values = {
        "client": new.client,
        "model": new.model,
        "file": storable_reason(new.file)[:255],
        "asked": dict(new.asked),
        "actor": dict(new.actor),
        "needs_tensorflow": new.needs_tensorflow,
        "state": "waiting",
        "created_at": now(),
    }
    with database.write() as connection:
        connection.execute(insert(model_import).values(id=import_id, **values))
    return get_import(database, import_id, whose=None)


def new_import_id() -> UUID:
    """An id for an import that is yet to be stored: its files go by it."""
    return uuid7()


def claim_import(database: Database, *, lease_s: float, has_tensorflow: bool) -> ImportClaim | None:
    """Take the first import that nobody makes, and that this process can make; None if there is none.

    Raises:
        Unavailable: the database does not answer.
    """
    waiting = model_import.c.state.in_(OPEN) & may_be_taken(model_import)
    if not has_tensorflow:
        waiting &= ~model_import.c.needs_tensorflow
    first = select(model_import.c.id).where(waiting).order_by(model_import.c.id).limit(1)
    # Nearly always there is none: that is found out without the one lock of SQLite.
    with database.read() as connection:
        if connection.execute(first).first() is None:
            return None
    token = uuid4()
    chosen = first.with_for_update(skip_locked=True).scalar_subquery()
    values = taken(token, lease_s) | {"state": "running", "tries": model_import.c.tries + 1}
    held = update(model_import).where(model_import.c.id == chosen).values(values).returning(model_import)
    with database.write() as connection:
        row = connection.execute(held).one_or_none()
    return None if row is None else ImportClaim(ModelImport.of(row), token)


def renew_import(database: Database, held: ImportClaim, said: str, *, lease_s: float) -> bool:
    """Keep an import, and tell what is being done; False: it is cancelled, or somebody else's by now."""
    values = {"said": storable_reason(said)[:LONGEST_SAID], **renewed(lease_s)}
    with database.write() as connection:
        return connection.execute(update(model_import).where(_is_mine(held)).values(values)).rowcount > 0


def put_import_back(
    database: Database,
    held: ImportClaim,
    *,
    after_s: float,
    counts: bool,
    needs_tensorflow: bool | None = None,
) -> None:
    """Let somebody else make it, after so many seconds; `counts`: as a try in vain.

    `needs_tensorflow` is what was found out about its file meanwhile.
    """
    tries = held.found.tries if counts else held.found.tries - 1
    values = {"state": "waiting", "tries": tries, **(free_after(after_s) if after_s else FREE)}
    if needs_tensorflow is not None:
        values["needs_tensorflow"] = needs_tensorflow
    with database.write() as connection:
        connection.execute(update(model_import).where(_is_mine(held)).values(values))


def end_import(database: Database, held: ImportClaim, ended: Ended, *, told: Told | None = None) -> bool:
    """Store how an import has ended, and what `told` writes with that; False: it was not this holder's any more."""
    error = ended.error
    values: dict[str, Any] = {
        "state": "succeeded" if error is None else "failed",
        "finished_at": now(),
        "said": "",
        "notes": [storable_reason(note) for note in ended.notes],
        "manifest": None if ended.manifest is None else dict(ended.manifest),
        "report": None if ended.report is None else dict(ended.report),
    }
    if error is not None:
        faults = error.faults if isinstance(error, InvalidInput) else ()
        values |= {
            "error_code": error.code,
            "error_message": storable_reason(str(error)),
            "faults": [
                [storable_reason(each) for each in (fault.field, fault.expected, fault.got)]
                for fault in faults
            ],
        }
    with database.write() as connection:
        ending = update(model_import).where(_is_mine(held)).values(values | FREE)
        is_mine = connection.execute(ending).rowcount > 0
        if is_mine and told is not None:
            told(connection)
    return is_mine


def cancel_import(database: Database, import_id: UUID, *, whose: str | None) -> ModelImport:
    """Have a file become no version; one that is over stays as it is.

    Raises:
        NotFound: there is no such import. Conflict: it has become a version already.
    """
    is_open = (model_import.c.id == import_id) & model_import.c.state.in_(OPEN)
    values = {"state": "cancelled", "finished_at": now(), "said": "", **FREE}
    with database.write() as connection:
        connection.execute(
            update(model_import).where(is_open, *belongs_to(model_import, whose)).values(values)
        )
    found = get_import(database, import_id, whose=whose)
    if found.state == "succeeded" and found.manifest is not None:
        raise Conflict(f"it is {found.model} version {found.manifest['version']} by now", code="import_over")
    return found


def get_import(database: Database, import_id: UUID, *, whose: str | None) -> ModelImport:
    """One import of a client as it stands; None: of any.

    Raises:
        NotFound: there is no such import (code `import_not_found`).
    """
    is_it = (model_import.c.id == import_id, *belongs_to(model_import, whose))
    with database.read() as connection:
        row = connection.execute(select(model_import).where(*is_it)).one_or_none()
    if row is None:
        raise NotFound(f"there is no import {import_id}", code="import_not_found")
    return ModelImport.of(row)


def list_imports(
    database: Database, *, whose: str | None, after: UUID | None = None, limit: int
) -> list[ModelImport]:
    """Imports of a client, or of all, newest first; `after` is the last one of the page before."""
    query = select(model_import).where(*belongs_to(model_import, whose))
    query = query.order_by(model_import.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(model_import.c.id < after)
    with database.read() as connection:
        return [ModelImport.of(row) for row in connection.execute(query)]


def open_imports(database: Database) -> set[UUID]:
    """Those whose files are still needed."""
    query = select(model_import.c.id).where(model_import.c.state.in_(OPEN))
    with database.read() as connection:
        return set(connection.execute(query).scalars())


def _is_mine(held: ImportClaim) -> Any:
    is_it = (model_import.c.id == held.found.id) & (model_import.c.state == "running")
    return is_it & is_held(model_import, held.token)
