"""One change of how versions stand: what it needs, and what tells of it. Change and telling are one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from production_server.access.audit import Act, Notes, noting
from production_server.access.records import Actor
from production_server.errors import InvalidInput
from production_server.jobs import channels as rows
from production_server.jobs.channels import NewEvent
from production_server.jobs.database import Database
from production_server.models.channels import Standing
from production_server.models.registry import Registry
from production_server.shown import describe

LONGEST_REASON = 500


@contextmanager
def changing(database: Database, model: str, by: Actor) -> Iterator[tuple[Connection, Notes, Standing]]:
    """A transaction beside which nobody changes how versions stand.

    Raises:
        Unavailable: the database does not answer.
    """
    with noting(by) as notes, database.write() as connection:
        rows.lock(connection)
        yield connection, notes, rows.read_standing(connection, model)


def tell(connection: Connection, notes: Notes, change: NewEvent, act: Act) -> None:
    """Write a change into the history, and into the audit."""
    rows.add_event(connection, change)
    what = change.channel or change.before or change.after or ""
    before = change.before and {"version": change.before}
    after = {"version": change.after} if change.after else {}
    told = {"reason": change.reason, "despite": change.despite}
    after |= {name: text for name, text in told.items() if text}
    notes.write(connection, act, f"{change.model}/{what}", before=before or None, after=after or None)


def channels_of(registry: Registry, model: str, standing: Standing) -> dict[str, str]:
    """What the channels of a model name, `stable` also where nobody has set it.

    Raises:
        NotFound: there is no such model.
    """
    return standing.channels_among([each.key[1] for each in registry.versions(model)])


def check_reason(reason: str) -> None:
    """See that a reason is one line, and not too long.

    Raises:
        InvalidInput: it is not (field `reason`).
    """
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise InvalidInput.at("reason", f"at most {LONGEST_REASON} characters in one line", describe(reason))
