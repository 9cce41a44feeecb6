"""Tells a stream what became of its messages: from the outbox to its topics, in the order of completion."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from production_server.jobs.database import Database
from production_server.jobs.deliveries import Turn, forget, next_deliveries, note_attempt
from production_server.jobs.item_body import ItemBody
from production_server.jobs.records import Delivery, Told
from production_server.models.registry import Registry
from production_server.sources.streams.counts import Counts
from production_server.sources.streams.message import Outgoing, Sink
from production_server.sources.streams.rules import StreamRule

log = logging.getLogger(__name__)

MOST_DELIVERIES = 100
"""Each has what was stored in one transaction: about a batch of items."""
RESULT_TYPE = "dev.celeriac.result"
QUICK_S = 0.01
SLOW_S = 0.05
BUSY_S = 2.0
"""So long after something has come, or was told, it is looked again quickly: a look costs a third of a millisecond."""


@dataclass(slots=True)
class Teller:
    """Tells one stream, in one thread; of several processes one has the turn."""

    name: str
    rule: StreamRule
    sink: Sink
    database: Database
    registry: Registry
    counts: Counts
    _turn: Turn = field(init=False)
    _turn_at: float = -1e9
    _has_turn: bool = False
    _busy_until: float = 0.0
    _news: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._turn = Turn(self.database, self.name)

    def expect(self) -> None:
        """Look quickly for some time: something has come, of which there will be a result. Any thread may call it."""
        self._busy_until = time.monotonic() + BUSY_S
        self._news.set()

    def wait(self) -> None:
        """Wait after a step that found nothing, less long where something is expected."""
        self._news.wait(QUICK_S if time.monotonic() < self._busy_until else SLOW_S)
        self._news.clear()

    def step(self) -> bool:
        """Tell what waits; whether there may be more at once.

        Raises:
            Unavailable: the database or the stream's broker does not answer; all that waits is told later.
        """
        at = time.monotonic()
        if at - self._turn_at > 1.0:
            self._has_turn, self._turn_at = self._turn.is_mine(), at
        if not self._has_turn:
            return False
        waiting = next_deliveries(self.database, self.name, limit=MOST_DELIVERIES)
        if not waiting:
            return False
        self._busy_until = at + BUSY_S
        self._tell(waiting)
        return True

    def close(self) -> None:
        """Let another process go on."""
        if self._has_turn:
            self._turn.leave()

    def _tell(self, waiting: Sequence[Delivery]) -> None:
        ids = [each.id for each in waiting]
        told = [each for delivery in waiting for each in delivery.told]
        try:
            if self.rule.results is not None:
                self._send_results(self.rule.results, told)
            if self.rule.dead_letters is not None:
                self._send_refused(self.rule.dead_letters, [each for each in told if each.item is None])
        except Exception:
            note_attempt(self.database, ids)
            raise
        forget(self.database, ids)
        self.counts.told += len(told)
        at = time.time()
        for each in told:
            if each.item is not None:
                self.counts.note_answered(at - each.sent_at)

    def _send_results(self, topic: str, told: Sequence[Told]) -> None:
        outgoing = [self._result(each) for each in told]
        taken = self.sink.send(topic, outgoing)
        # What is too large for the topic is told without the numbers; the job has them.
        left = [each for each, is_taken in zip(told, taken, strict=True) if not is_taken]
        if left and not all(self.sink.send(topic, [self._result(each, is_short=True) for each in left])):
            log.error("stream %s: %s takes not even short results; they are in the jobs", self.name, topic)

    def _send_refused(self, topic: str, refused: Sequence[Told]) -> None:
        if not all(self.sink.send(topic, [_dead_letter(each) for each in refused])):
            log.error(
                "stream %s: %s does not take all refused messages, which are too large", self.name, topic
            )

    def _result(self, told: Told, *, is_short: bool = False) -> Outgoing:
        body: dict[str, object] = {
            "id": told.request_id,
            "stream": self.name,
            "from": told.place,
            "sent": datetime.fromtimestamp(told.sent_at, UTC).isoformat(),
            "row": told.row,
        }
        if told.job is None or told.item is None:
            error = {"code": told.error_code, "message": told.error_message}
            body |= {"job": None, "state": "refused", "error": error}
            identity = told.place
        else:
            task = self.registry.task_of(told.job.model, told.job.version)
            item = ItemBody.of(told.item, told.job.version, task).model_dump(mode="json")
            if is_short:
                item |= {"output": None, "top": None}
            body |= {"job": str(told.job.id), "model": told.job.model, **item}
            identity = f"{told.job.id}/{told.item.index}"
        headers = {
            "ce_specversion": "1.0",
            "ce_type": RESULT_TYPE,
            "ce_source": f"/streams/{self.name}",
            "ce_id": identity,
            "ce_time": datetime.now(UTC).isoformat(),
            "content-type": "application/json",
        }
        if told.request_id is not None:
            headers["request-id"] = told.request_id
        return Outgoing(value=orjson.dumps(body), key=told.key, headers=headers)


def _dead_letter(told: Told) -> Outgoing:
    """The message as it came, and why nothing was made of it."""
    why = {
        "celeriac-error": told.error_code or "",
        "celeriac-reason": (told.error_message or "")[:1000],
        "celeriac-from": told.place,
    }
    return Outgoing(value=told.message, key=told.key, headers={**(told.headers or {}), **why})
