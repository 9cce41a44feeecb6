"""What goes into and comes out of this package: frozen values, no rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args
from uuid import UUID

from production_server.models.tasks.task import Prediction

Said = Literal["label", "reject", "ignore", "skip"]
"""What somebody says of an item: which label it has, that it has not this one, that it shows nothing, or nothing."""
Kind = Literal["label", "reject", "ignore", "skip", "undo"]
Order = Literal["margin", "random", "newest", "second"]
"""Which question comes next: the least sure one, any, the latest, or one that somebody else has answered."""
Chosen = Literal["margin", "random", "newest", "second", "direct", "import"]
"""How an item came to be decided: by a question of that order, on its own page, or by a file."""
WORDS: tuple[Kind, ...] = ("label", "reject", "ignore")
"""What counts as an answer: whoever skips gives none."""
ORDERS: tuple[Order, ...] = get_args(Order)


class ItemId(NamedTuple):
    """An item: its job, and its place in it."""

    job_id: UUID
    idx: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Labeller:
    """Who decides."""

    client: str
    who: str
    """The name of the key; of a service without keys, of the client."""
    sees_all: bool
    """Whether he may label what belongs to other clients."""
    sitting: str = ""
    """A text that tells windows of one person apart: no two are given the same question."""

    @property
    def whose(self) -> str | None:
        """The client whose items he may label; None: those of all."""
        return None if self.sees_all else self.client

    @property
    def holder(self) -> str:
        """Who has a question in hand."""
        return f"{self.client}/{self.who}/{self.sitting}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDecision:
    """What somebody says of an item."""

    model: str
    item: ItemId
    kind: Said
    answer: str | None = None
    """A label, checked; None: what the model has answered."""
    choices: tuple[str, ...] = ()
    """The labels that the model chooses from."""
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What somebody has said of an item, or that it does not count any more."""

    id: int
    item: ItemId
    model: str
    version: str
    who: str
    at: float
    """Seconds since the Unix epoch."""
    kind: Kind
    answer: str | None
    predicted: str | None
    """What the model had answered then."""
    score: float | None
    chosen: Chosen
    replaces: int | None
    """What was said of the item before; of an undo, what is undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An item that somebody is asked about."""

    item: ItemId
    version: str
    name: str | None
    url: str | None
    prediction: Prediction
    chosen: Chosen
    until: float
    """So long nobody else is asked; seconds since the Unix epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """An item whose label is known, and who has said it last; of a set of labels that is not kept."""

    item: ItemId
    version: str
    label: str
    who: str | None
    at: float | None
    predicted: str | None
    score: float | None
    name: str | None
    url: str | None
