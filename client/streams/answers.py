"""What came of requests, as messages tell it: results, refusals, and messages that are neither."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from client.answers import ItemError, StreamResult, read
from client.errors import Unavailable

if TYPE_CHECKING:
    from client.streams.messages import Incoming

REASON, ERROR = "celeriac-reason", "celeriac-error"
"""The headers by which a dead letter says why it is one."""
_IDENTITIES = ("ce_id", "ce-id")


@dataclass(frozen=True, slots=True)
class Answer:
    """One message, and the result in it; None: it is of somebody else."""

    message: Incoming
    result: StreamResult | None
    latency_s: float | None
    """From when its request was sent to when it was told, by the clocks of their topics; None: it is not told."""

    @property
    def identity(self) -> str:
        """The same for a result that comes twice. Of another message its place, and its time: topics are made anew."""
        message = self.message
        found = (message.headers[name] for name in _IDENTITIES if name in message.headers)
        return next(found, f"{message.place} {message.sent_at}")

    def as_json(self) -> dict[str, Any]:
        """All that is known, as JSON has it: the result as the service told it."""
        about = {"place": self.message.place, "latency_s": self.latency_s}
        if self.result is not None and ERROR not in self.message.headers:
            return {**json.loads(self.message.value), **about}
        try:
            text = self.message.value.decode()
        except UnicodeDecodeError:
            text = None
        told = {"headers": dict(self.message.headers), "value": text, "size_bytes": len(self.message.value)}
        return told | about


def read_answer(message: Incoming) -> Answer:
    """What a message says, whatever it is."""
    result = _dead_letter(message) if ERROR in message.headers else _result(message)
    sent = None if result is None or result.sent is None else datetime.fromisoformat(result.sent).timestamp()
    return Answer(message, result, None if sent is None else round(max(0.0, message.sent_at - sent), 6))


def _result(message: Incoming) -> StreamResult | None:
    try:
        return read(StreamResult, message.value, url=message.place)
    except Unavailable:
        return None


def _dead_letter(message: Incoming) -> StreamResult:
    headers = message.headers
    number = next((headers[name] for name in ("id", *_IDENTITIES) if name in headers), None)
    error = ItemError(headers[ERROR], headers.get(REASON, ""))
    return StreamResult(state="refused", stream="", id=number, name=headers.get("name"), error=error)
