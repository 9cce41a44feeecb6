"""What goes into and comes out of this package: frozen values, no rows and no sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from production_server.models.tasks.bins import Bin
from production_server.models.tasks.task import Prediction, Stored
from production_server.storage.objects import Reference

Priority = Literal["normal", "high"]
JobState = Literal["queued", "running", "finished", "cancelled"]
ItemState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ScanState = Literal["listing", "listed", "failed", "cancelled"]
ImportState = Literal["waiting", "running", "succeeded", "failed", "cancelled"]
Importable = Literal["onnx", "all"]
"""Which files of models a worker reads: those that need no TensorFlow, or all."""


ANONYMOUS_NAME = "anonymous"
"""The client where nobody has to say who he is."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """One checked input: a row as JSON or an image file, and what is known of it."""

    payload: bytes
    name: str | None = None
    expected: str | None = None
    outside_training_range: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What a client asks for; `request_digest` says under an idempotency key whether it is the same request."""

    model: str
    version: str
    items: Sequence[NewItem]
    source: str
    client: str
    priority: Priority = "normal"
    idempotency_key: str | None = None
    request_digest: str | None = None
    stream: str | None = None
    """The stream whose messages it is made of."""
    tells_results: bool = False
    """Whether that stream is told what becomes of its items."""


@dataclass(frozen=True, slots=True)
class NewObjects:
    """Objects that somebody tells of, for a version of a model."""

    model: str
    version: str
    references: Sequence[Reference]
    source: str
    client: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it stands; times are seconds since the Unix epoch, UTC."""

    id: UUID
    client: str
    model: str
    version: str
    source: str
    priority: Priority
    """As the client asked for it."""
    effective_priority: Priority
    """As its chunks travel."""
    state: JobState
    total: int
    succeeded: int
    failed: int
    cancelled: int
    created_at: float
    started_at: float | None
    finished_at: float | None
    is_growing: bool = False
    """Whether a scan still adds items to it."""

    @property
    def done(self) -> int:
        """How many items will not change any more."""
        return self.succeeded + self.failed + self.cancelled

    @property
    def is_over(self) -> bool:
        """Whether no result will come any more: an item that was running when its job was cancelled still finishes."""
        return self.done == self.total and not self.is_growing


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One input of a job and what became of it."""

    index: int
    name: str | None
    expected: str | None
    outside_training_range: tuple[str, ...]
    state: ItemState
    label: str | None
    score: float | None
    output: Stored
    """What the model's task keeps of its answer."""
    error_code: str | None
    error_message: str | None
    ms: float | None
    url: str | None = None
    """Where its input lies, if that is in a bucket."""

    @property
    def prediction(self) -> Prediction | None:
        """The model's answer, if there is one."""
        return Prediction(self.label, self.score, self.output) if self.state == "succeeded" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Items that this holder may work on until the lease runs out; `token` fences off everybody else."""

    job_id: UUID
    model: str
    version: str
    token: UUID
    indexes: tuple[int, ...]
    inputs: tuple[bytes | Reference, ...]
    """What was stored with each item, or where its input lies."""
    series_id: int
    """Which results theirs are counted among."""
    priority: Priority
    """As it was asked for: that a job is small does not make it urgent any more once it has taken long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """A finished item's result."""

    index: int
    label: str | None
    score: float | None
    output: Stored
    ms: float
    bin: Bin | None = None
    """Where a value that has no label is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an item has no result."""

    index: int
    error_code: str
    error_message: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Items `start` to `stop - 1` of a job: what travels in one message."""

    job_id: UUID
    start: int
    stop: int
    priority: Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A worker as its last heartbeat told."""

    name: str
    started_at: float
    seen_at: float
    warm: tuple[str, ...]
    items_done: int
    failing: Mapping[str, str]
    """Why it has not loaded what it should have, by model/version."""
    imports: Importable | None = None
    """None: it reads no file of a model."""
    calls: Mapping[str, Any] | None = None
    """Where it takes interactive calls, as `broker.addresses` reads it; None: nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewScan:
    """What to list, and what to make of it: objects at `url` whose keys `pattern` matches become items.

    An object that this version has classified already is left out, or classified anew if `again`.
    """

    url: str
    pattern: str
    model: str
    version: str
    again: bool = False
    dry_run: bool = False
    priority: Priority = "normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A listing as it stands; unless it is a dry run, the job of the same id has what it found."""

    id: UUID
    client: str
    url: str
    pattern: str
    model: str
    version: str
    again: bool
    dry_run: bool
    state: ScanState
    cursor: str
    listed: int
    matched: int
    skipped: int
    created_at: float
    finished_at: float | None
    error_code: str | None
    error_message: str | None
    """Why it has failed; of one that lists, why it does not go on."""
    vain_tries: int
    """How often in a row."""
    next_try_at: float | None
    """Of one that does not go on: when it is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewArrival:
    """A message of a stream, by which it is known when it comes again; times in seconds since the Unix epoch."""

    digest: bytes
    """SHA-256 over its stream, where in it the message stands, and what it says."""
    place: str
    """As people are told it."""
    key: bytes | None
    """What its results are told under."""
    request_id: str | None
    """As whoever sent it calls it."""
    sent_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRefusal:
    """A message that nothing can be made of: why, and what it was, for whoever looks after such messages."""

    arrival: NewArrival
    error_code: str
    error_message: str
    message: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a stream is to be told of one item, or of a message that was refused (`item` None)."""

    job: Job | None
    item: Item | None
    place: str
    sent_at: float
    """When its message was sent, in seconds since the Unix epoch, by the stream's clock."""
    row: int | None
    """Which of the items of its message it is, from 0; None: the message was refused."""
    key: bytes | None
    request_id: str | None
    error_code: str | None = None
    error_message: str | None = None
    message: bytes = b""
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What was written in one transaction for a stream to be told, in the order of the items."""

    id: int
    attempts: int
    told: tuple[Told, ...]
