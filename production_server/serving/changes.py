"""One change of how versions stand: what it needs, and what tells of it. Change and telling are one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from production_server.access.audit import Act, Notes, noting
from production_server.access.records import Actor
from production_server.errors import Conflict, InvalidInput
from production_server.jobs import channels as rows
from production_server.jobs.channels import Change, NewEvent
from production_server.jobs.database import Database
from production_server.models.channels import CANARY, Standing
from production_server.models.registry import Registry
from production_server.shown import describe

LONGEST_REASON = 500
NOTHING = ""
"""As what is expected of a channel: that it names no version."""


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
    after: dict[str, str | float] = {"version": change.after} if change.after else {}
    told = {"percent": change.percent, "reason": change.reason, "despite": change.despite}
    after |= {name: fact for name, fact in told.items() if fact}
    notes.write(connection, act, f"{change.model}/{what}", before=before or None, after=after or None)


def take_away(
    connection: Connection,
    notes: Notes,
    *,
    model: str,
    channel: str,
    before: str,
    client: str,
    reason: str,
    goes_back: bool = False,
) -> None:
    """Have a channel, which names the version `before`, name none any more; a canary that does worse `goes_back`."""
    rows.remove_channel(connection, model, channel)
    act, told = (
        (Change.ROLLED_BACK, Act.CHANNEL_ROLLED_BACK) if goes_back else (Change.REMOVED, Act.CHANNEL_REMOVED)
    )
    change = NewEvent(model=model, act=act, channel=channel, before=before, client=client, reason=reason)
    tell(connection, notes, change, told)


def end_canary(
    connection: Connection, notes: Notes, standing: Standing, model: str, *, client: str, reason: str
) -> None:
    """Take a canary with a share away whose stable is another one now: it was held against the one before.

    Of one without a share nothing happens.
    """
    version = standing.channels.get(CANARY)
    if version is None or not standing.canary_percent:
        return
    take_away(connection, notes, model=model, channel=CANARY, before=version, client=client, reason=reason)


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


def check_expected(model: str, channel: str, expected: str | None, names: str | None) -> None:
    """See that a channel names what whoever changes it takes it to name; None: he does not care.

    Raises:
        Conflict: it names another version, or one, or none (code `channel_moved`).
    """
    if expected is not None and expected != (names or NOTHING):
        told = f"version {names}" if names else "no version"
        raise Conflict(
            f"{channel} of {model!r} names {told} now, not {expected or 'none'}: look again",
            code="channel_moved",
        )
