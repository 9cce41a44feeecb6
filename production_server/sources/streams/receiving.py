"""Takes messages of a stream as they come, and makes jobs of them: many messages one job, each message once."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from production_server.errors import CeleriacError, InvalidInput, StorageUnavailable, Unavailable
from production_server.intake.checking import items_from_json
from production_server.intake.intake import Asked, Intake
from production_server.jobs.arrivals import Taken, count_unfinished, refuse_messages
from production_server.jobs.records import NewArrival, NewItem, NewRefusal
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion
from production_server.sources.streams.counts import Counts
from production_server.sources.streams.message import Message, Source
from production_server.sources.streams.reading import (
    Asking,
    items_of,
    names_image,
    read_message,
    request_id_of,
)
from production_server.sources.streams.rules import StreamRule
from production_server.storage.objects import Reference

log = logging.getLogger(__name__)

MOST_MESSAGES = 500
"""So many are stored together: the transaction is what costs, and a chunk of a job has about as many."""
WAIT_S = 0.2
COUNT_EVERY_S = 0.5
"""How often it is counted what waits."""
REFERENCE_WAIT_S = 60.0
"""So long a table is waited for whose bucket does not answer; then its message is refused."""


@dataclass(slots=True)
class Receiver:
    """Takes the messages of one stream, in one thread."""

    name: str
    rule: StreamRule
    source: Source
    intake: Intake
    registry: Registry
    counts: Counts = field(default_factory=Counts)
    is_paused: bool = False
    _hand: list[Message] = field(default_factory=list)
    """What has come and is not stored yet: while the database is away, it stays here."""
    _counted_at: float = -COUNT_EVERY_S
    _waits_since: float | None = None

    def step(self) -> bool:
        """Take what has come, and store it; whether there may be more at once.

        Raises:
            Unavailable: the database or the stream's broker does not answer; what has come is kept for the next step.
        """
        if self._hand:
            # Whoever does not ask for so long that the group gives up on him would get all of it again.
            self._set_paused(paused=True)
            self._hand += self.source.take(most=1, wait_s=0)
        else:
            self._look_what_waits()
            self._hand = self.source.take(most=MOST_MESSAGES, wait_s=WAIT_S)
        if not self._hand:
            return True
        self._store(self._hand)
        self.source.confirm(self._hand)
        self._hand, self._waits_since = [], None
        return True

    def _look_what_waits(self) -> None:
        """Pause at the bound, and go on at half of it: who flaps throws away what was fetched ahead."""
        if time.monotonic() - self._counted_at < COUNT_EVERY_S:
            return
        waiting = count_unfinished(self.intake.database, self.name)
        self._counted_at = time.monotonic()
        most = self.rule.most_waiting
        self._set_paused(paused=waiting > (most // 2 if self.is_paused else most))

    def _set_paused(self, *, paused: bool) -> None:
        if paused != self.is_paused:
            self.source.set_paused(paused=paused)
            self.is_paused = paused

    def _store(self, hand: Sequence[Message]) -> None:
        asked: list[Asking] = []
        refused: list[NewRefusal] = []
        for message in hand:
            try:
                asked.append(read_message(message, self.rule))
            except InvalidInput as exc:
                refused.append(self._refusal(message, exc))
        for version, group in self._by_version(asked, refused):
            self._store_group(version, group, refused)
        new = refuse_messages(self.intake.database, self.name, refused, tell=self.rule.tells_refusals)
        self.counts.refused += new
        self.counts.messages += len(hand)
        if new:
            log.warning(
                "stream %s: %d messages were refused; the last one: %s",
                self.name,
                new,
                refused[-1].error_message,
            )

    def _by_version(
        self, asked: Sequence[Asking], refused: list[NewRefusal]
    ) -> list[tuple[ModelVersion, list[Asking]]]:
        """Those that become jobs together: of one version, and with inputs, or with the names of objects."""
        found: dict[tuple[tuple[str, str], bool], tuple[ModelVersion, list[Asking]]] = {}
        for asking in asked:
            try:
                version = self.registry.draw(asking.model, asking.version, sticky=asking.request_id or "")
            except Unavailable:
                raise
            except CeleriacError as exc:
                refused.append(self._refusal(asking.message, exc, asking.request_id))
            else:
                key = (version.key, names_image(asking, version))
                found.setdefault(key, (version, []))[1].append(asking)
        return list(found.values())

    def _store_group(self, version: ModelVersion, group: Sequence[Asking], refused: list[NewRefusal]) -> None:
        taken: list[Taken] = []
        size = 0
        together = self._checked_together(group, version)
        items: list[NewItem] | list[Reference] | None
        for place, asking in enumerate(group):
            items = together[place] if together else self._checked(asking, version, refused)
            if items is None:
                continue
            if taken and size + len(items) > self.intake.settings.max_job_items:
                self._accept(version, taken)
                taken, size = [], 0
            taken.append(Taken(self._arrival(asking.message, asking.request_id), items))
            size += len(items)
        if taken:
            self._accept(version, taken)

    def _checked_together(self, group: Sequence[Asking], version: ModelVersion) -> list[list[NewItem]] | None:
        """The items of each message, if all are JSON and none is bad: one check costs less than many."""
        inputs = [each for asking in group for each in asking.inputs]
        is_plain = all(asking.kind == "json" and asking.inputs for asking in group)
        if not is_plain or len(inputs) > self.intake.settings.max_job_items:
            return None
        try:
            items = iter(items_from_json(version, [inputs], self.intake.settings))
        except InvalidInput:
            return None  # Which one it is, and why, each tells by itself.
        return [list(islice(items, len(asking.inputs))) for asking in group]

    def _checked(
        self, asking: Asking, version: ModelVersion, refused: list[NewRefusal]
    ) -> list[NewItem] | list[Reference] | None:
        """The items of a message; None: it is refused."""
        try:
            return items_of(asking, version, self.intake)
        except StorageUnavailable as exc:
            if not self._has_waited():
                raise Unavailable(str(exc), place=exc.place) from exc
            refused.append(self._refusal(asking.message, exc, asking.request_id))
        except Unavailable:
            raise
        except CeleriacError as exc:
            refused.append(self._refusal(asking.message, exc, asking.request_id))
        return None

    def _has_waited(self) -> bool:
        """Whether a bucket has been waited for long enough, from the first time on that it did not answer."""
        at = time.monotonic()
        if self._waits_since is None:
            self._waits_since = at
        return at - self._waits_since > REFERENCE_WAIT_S

    def _accept(self, version: ModelVersion, taken: Sequence[Taken]) -> None:
        asked = Asked(
            source=self.rule.kind,
            client=self.rule.client,
            priority=self.rule.priority,
            version=self.rule.version,
        )
        accepted = self.intake.accept_messages(
            version, taken, asked, stream=self.name, tells_results=self.rule.results is not None
        )
        self.counts.items += accepted
        self.counts.known += sum(len(each.items) for each in taken) - accepted

    def _arrival(self, message: Message, request_id: str | None) -> NewArrival:
        return NewArrival(
            digest=message.digest(self.name),
            place=message.place,
            key=message.key,
            request_id=request_id,
            sent_at=message.sent_at,
        )

    def _refusal(self, message: Message, error: CeleriacError, request_id: str | None = None) -> NewRefusal:
        return NewRefusal(
            arrival=self._arrival(message, request_id or request_id_of(message)),
            error_code=error.code,
            error_message=_said(error),
            message=message.value,
            headers=message.headers,
        )


def _said(error: CeleriacError) -> str:
    """What is wrong, with the first of its faults, where what it says only counts them."""
    faults = [str(fault) for fault in error.faults[:3]] if isinstance(error, InvalidInput) else []
    return "; ".join(dict.fromkeys([str(error), *faults]))
