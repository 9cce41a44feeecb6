"""Which calls travel together: a batch grows with the load, and nobody waits for a timer.

A call goes out at once while few batches of its kind are on their way; else it is collected until one comes back.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from production_server.broker.calls import MAX_REQUEST_BYTES, Inputs, Reply, count_inputs
from production_server.errors import CeleriacError, TooLarge, Unavailable
from production_server.models.tensors import joined, size_bytes

if TYPE_CHECKING:
    from production_server.tracing.spans import Span

Answer = Reply | CeleriacError
Kind = tuple[str, str, tuple[tuple[str, tuple[int, ...]], ...]]
IMAGES = (("image files", ()),)

MAX_BATCH_BYTES = MAX_REQUEST_BYTES - 2**16
"""Without room for the header."""
MAX_WAITING_BYTES = 256 * 2**20
"""A thousand calls may be a thousand photographs."""


@dataclass(slots=True, eq=False)
class Call:
    """One request of one client. `done` is called once, by the event loop, with its part of the answer or an error."""

    model: str
    version: str
    inputs: Inputs
    deadline: float
    """On the monotonic clock of this process, in seconds."""
    done: Callable[[Answer], None]
    is_over: bool = False
    """Set when the client has left or has been answered: what has not been sent is dropped."""
    span: Span | None = None
    """The request's, where there are traces."""
    items: int = field(init=False)
    size_bytes: int = field(init=False)
    kind: Kind = field(init=False)
    """What calls must have in common to travel in one batch."""

    def __post_init__(self) -> None:
        inputs = self.inputs
        self.items = count_inputs(inputs)
        if isinstance(inputs, Mapping):
            self.size_bytes = size_bytes(inputs)
            shapes = tuple((each.dtype.char, each.shape[1:]) for each in inputs.values())
            self.kind = self.model, self.version, shapes
        else:
            self.size_bytes = sum(map(len, inputs))
            self.kind = self.model, self.version, IMAGES


@dataclass(slots=True, eq=False)
class Batch:
    """Calls of one kind that travel together."""

    calls: list[Call]
    sent_at: float = 0.0

    @property
    def deadline(self) -> float:
        """When the last of them is of no use to anybody."""
        return max(call.deadline for call in self.calls)

    @property
    def items(self) -> int:
        return sum(call.items for call in self.calls)

    def inputs(self) -> Inputs:
        """The inputs of all calls, in order."""
        if isinstance(self.calls[0].inputs, Mapping):
            return joined([call.inputs for call in self.calls if isinstance(call.inputs, Mapping)])
        return [image for call in self.calls if not isinstance(call.inputs, Mapping) for image in call.inputs]


@dataclass(slots=True)
class _Waiting:
    waiting: deque[Call] = field(default_factory=deque)
    on_their_way: int = 0


class Grouping:
    """Decides; does no I/O. Not safe to share between threads."""

    def __init__(self, *, max_batches: int, max_items: int, max_waiting: int) -> None:
        """For each worker at most `max_batches` of a kind on their way, `max_items` in one (more only in one call's).

        `max_waiting` bounds the items of all kinds that wait. What they take is bounded, too, together and in a batch.
        """
        self._max_batches = max_batches
        self._max_items = max_items
        self._max_waiting = max_waiting
        self._kinds: OrderedDict[Kind, _Waiting] = OrderedDict()
        self.waiting_items = 0
        self._waiting_bytes = 0

    def add(self, call: Call) -> None:
        """Take a call in.

        Raises:
            TooLarge: it has more items than may ever wait. Unavailable: as much waits as may (code `overloaded`).
        """
        self._check_size(call)
        if (
            self.waiting_items + call.items > self._max_waiting
            or self._waiting_bytes + call.size_bytes > MAX_WAITING_BYTES
        ):
            raise Unavailable("too many calls are waiting", code="overloaded")
        self._kinds.setdefault(call.kind, _Waiting()).waiting.append(call)
        self.waiting_items += call.items
        self._waiting_bytes += call.size_bytes

    def next(self, key: Kind, now: float, *, workers: int) -> Batch | None:
        """What is to be sent of a kind now, if there is something, while so many workers answer."""
        kind = self._kinds.get(key)
        if kind is None:
            return None
        # Workers that have nothing share what waits: else one would have all calls that were read in one turn.
        share = math.ceil(len(kind.waiting) / max(1, workers - kind.on_their_way))
        may_go = kind.on_their_way < self._max_batches * max(1, workers)
        calls = self._take(kind, now, most=share) if may_go else []
        if calls:
            kind.on_their_way += 1
            return Batch(calls)
        if not kind.waiting and not kind.on_their_way:
            del self._kinds[key]
        return None

    def returned(self, batch: Batch) -> None:
        """A batch is not on its way any more, whatever came of it."""
        self._kinds[batch.calls[0].kind].on_their_way -= 1

    def _check_size(self, call: Call) -> None:
        if call.items > self._max_waiting:
            raise TooLarge(
                f"{call.items} items are more than the {self._max_waiting} of a call: submit a job"
            )
        if call.size_bytes > MAX_BATCH_BYTES:
            raise TooLarge(
                f"the inputs take {call.size_bytes} bytes, at most {MAX_BATCH_BYTES}: ask in parts"
            )

    def _take(self, kind: _Waiting, now: float, *, most: int) -> list[Call]:
        taken: list[Call] = []
        items = size_bytes = 0
        while kind.waiting:
            call = kind.waiting[0]
            call_bytes = call.size_bytes
            is_too_much = items + call.items > self._max_items or size_bytes + call_bytes > MAX_BATCH_BYTES
            if len(taken) == most or (taken and is_too_much):
                break
            kind.waiting.popleft()
            self.waiting_items -= call.items
            self._waiting_bytes -= call_bytes
            if not call.is_over and call.deadline > now:
                taken.append(call)
                items += call.items
                size_bytes += call_bytes
        return taken
