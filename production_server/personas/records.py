"""What goes into and comes out of this package: frozen values, no rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID

import numpy as np

from production_server.access.records import Actor
from production_server.learning.persona_means import Promise

Said = Literal["label", "reject", "stranger", "not_a_face", "ignore"]
"""What somebody says of a face: that it is a persona, that it is not this one, that it is nobody who is known, that it
is none, or that nobody cares for it."""
Kind = Literal["label", "reject", "stranger", "not_a_face", "ignore", "undo"]
OF_PERSONAS: tuple[Said, ...] = ("label", "reject")
"""What is said with a persona."""

LEAST_SHARPNESS = 20.0
LEAST_SIDE = 40
"""A face that is more blurred, or smaller, is labelled as any other, and not learnt from."""


class Embedder(NamedTuple):
    """Whose embeddings may be compared with each other: those of one version of a model."""

    model: str
    version: str


@dataclass(frozen=True, slots=True)
class Sayer:
    """Who decides."""

    client: str
    who: str
    """The name of the key; of a service without keys, of the client."""
    acting: Actor | None = None
    """Where the request came from, for the audit; None: the client is all that is known."""

    @property
    def actor(self) -> Actor:
        """As the audit tells it."""
        return self.acting or Actor(self.client)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDecision:
    """What somebody says of faces, all at once."""

    faces: tuple[int, ...]
    kind: Said
    persona: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What somebody has said of a face, or that it does not count any more."""

    id: int
    face: int
    batch: UUID
    """The same for all that was said at once."""
    kind: Kind
    persona: int | None
    who: str
    at: float
    """Seconds since the Unix epoch."""
    predicted: int | None
    """What the classifier had said then."""
    cosine: float | None
    classifier: int | None
    replaces: int | None
    """What the face was said to be before; of an undo, what is undone."""
    origin: int | None
    """What somebody said of the same face as another version has found it, from where this was carried over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """Somebody that faces may be of."""

    id: int
    name: str
    made_at: float
    made_by: str
    labelled: int = 0
    predicted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A face of a finished item."""

    id: int
    job_id: UUID
    idx: int
    place: int
    embedder: Embedder
    box: tuple[float, float, float, float]
    """Left, top, right, bottom, as shares of the picture's width and height."""
    landmarks: tuple[tuple[float, float], ...]
    score: float
    side: int
    sharpness: float
    predicted: int | None
    """The persona that the classifier says it is; None also where somebody has said who it is."""
    nearest: int | None
    cosine: float | None

    def places_in(self, width: int, height: int) -> np.ndarray:
        """Its landmarks in a picture of so many pixels: float32 [1, 5, 2]."""
        return np.array([self.landmarks], np.float32) * np.array([width, height], np.float32)

    @property
    def is_learnt_from(self) -> bool:
        """Whether it would be, if somebody said who it is."""
        return self.sharpness >= LEAST_SHARPNESS and self.side >= LEAST_SIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a classifier has changed."""

    number: int
    """Of the classifier."""
    embedder: Embedder
    is_done: bool
    """Whether it has judged all faces that were there when it was made."""
    changed: int
    gained: int
    lost: int

    def __str__(self) -> str:
        faces = "1 face" if self.changed == 1 else f"{self.changed} faces"
        return f"{faces} changed, {self.gained} gained a name, {self.lost} lost one"


@dataclass(frozen=True, slots=True)
class Promised:
    """That at most one stranger in so many gets a name, who said so and when."""

    one_in: int
    who: str
    at: float
    """Seconds since the Unix epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """What judges the faces of an embedder."""

    personas: int
    """How many it knows."""
    threshold: float
    one_in: int
    """One stranger in so many may get a name: it was made for that."""
    promised: Promised | None
    """What somebody has set for its model; None: nobody has."""
    promise: Promise
    """What came of it, by people's own labels."""
    made_at: float
    change: Change
