"""How canaries do, and taking those back that do worse than what is stable."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from production_server.access.records import Actor
from production_server.errors import NotFound
from production_server.jobs import channels as rows
from production_server.jobs.channels import Change, ChannelRow
from production_server.jobs.database import Database
from production_server.jobs.observations import observations_of
from production_server.learning.canary import CALLS, ITEMS, CanaryVerdict, Judged, Seen, judge
from production_server.models.channels import CANARY, STABLE
from production_server.models.registry import Registry
from production_server.serving.changes import changing, channels_of, take_away
from production_server.serving.known_standings import KnownStandings

log = logging.getLogger(__name__)

SERVICE = Actor("the service")
"""Who takes a canary back that does worse."""


@dataclass(frozen=True, slots=True)
class Canary:
    """How a canary does beside what is stable, of each kind of work that there was."""

    row: ChannelRow
    stable: str | None
    seen: Mapping[str, tuple[Seen, Seen]]
    """What the canary, and stable, answered since the canary has its share, by kind of work."""
    verdict: CanaryVerdict
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Canaries:
    """Looks after the canaries of a service. Safe to share between threads."""

    database: Database
    registry: Registry
    known: KnownStandings

    def show(self, model: str) -> Canary | None:
        """How the canary of a model does; None: no canary has a share.

        Raises:
            NotFound: there is no such model. Unavailable: the database does not answer.
        """
        with self.database.read() as connection:
            stable = channels_of(self.registry, model, rows.read_standing(connection, model)).get(STABLE)
            return _canary(connection, model, stable)

    def named(self, model: str) -> Canary:
        """`show`, of a model whose canary has a share.

        Raises:
            NotFound: there is no such model, or none has (code `canary_not_found`).
        """
        found = self.show(model)
        if found is None:
            raise NotFound(f"no canary of {model!r} has a share of the work", code="canary_not_found")
        return found

    def taken_back(self, model: str) -> dict[str, str]:
        """Why versions of a model were taken back as canaries, by their numbers.

        Raises:
            Unavailable: the database does not answer.
        """
        with self.database.read() as connection:
            return rows.reasons_of(connection, model, CANARY, Change.ROLLED_BACK, client=SERVICE.client)

    def look(self) -> None:
        """Take back each canary that does worse.

        Raises:
            Unavailable: the database does not answer.
        """
        for model, standing in self.known.now().items():
            if standing.canary_percent > 0:
                self._look_at(model)

    def _look_at(self, model: str) -> None:
        try:
            found = self.show(model)
        except NotFound:
            return
        if found is None or found.verdict != CanaryVerdict.WORSE:
            return
        with changing(self.database, model, SERVICE) as (connection, notes, _):
            row = _row(connection, model)
            # Somebody else may have looked at the same time, or another canary may have its turn by now.
            if row != found.row:
                return
            reason = "; ".join(found.reasons)
            take_away(
                connection,
                notes,
                model=model,
                channel=CANARY,
                before=row.version,
                client=SERVICE.client,
                reason=reason,
                goes_back=True,
            )
        log.warning("canary %s of %s is taken back: %s", row.version, model, reason)
        self.known.look_if_possible()


def _canary(connection: Connection, model: str, stable: str | None) -> Canary | None:
    row = _row(connection, model)
    if row is None or not row.percent or row.set_at is None:
        return None
    seen = {work: (Seen(), Seen()) for work in (CALLS, ITEMS)}
    for about, counts in observations_of(connection, model, row.set_at):
        if about.work in seen and about.version in (row.version, stable):
            seen[about.work][about.version == stable].add(Seen.from_json(counts))
    met = {work: both for work, both in seen.items() if any(each.answers for each in both)}
    judged = [judge(*both, work=work) for work, both in met.items()]
    return Canary(row, stable, met, *_of_all(judged))


def _of_all(judged: list[Judged]) -> tuple[CanaryVerdict, tuple[str, ...]]:
    """Worse where one kind of work says so, else as good where one does: there may be few of the other."""
    for verdict in (CanaryVerdict.WORSE, CanaryVerdict.AS_GOOD):
        found = tuple(reason for each in judged if each.verdict == verdict for reason in each.reasons)
        if found:
            return verdict, found
    return CanaryVerdict.UNKNOWN, tuple(reason for each in judged for reason in each.reasons) or (
        "nothing was answered yet",
    )


def _row(connection: Connection, model: str) -> ChannelRow | None:
    return next((each for each in rows.list_channels(connection, model) if each.channel == CANARY), None)
