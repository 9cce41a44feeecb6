"""The classifier of personas: a face is the persona whose mean lies nearest, if it lies near enough.

Of few labelled faces nothing else was as good: where a softmax names 84 % of faces by three labels each, and one
classifier for each persona 61 %, means name 96 %, at one stranger in a hundred named. All of it is in closed form but
for two numbers, which turn a cosine into a probability.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from production_server.intervals import wilson

FIRST_THRESHOLD = 0.95
"""The cosine from which a face gets a name as long as labels cannot tell. A wrong name is worse than none.

On LFW one stranger in a hundred reaches 0.933 to 0.946, with 20 to 60 personas of one to six faces each."""
FEWEST_STRANGERS = 20
"""So many must have been seen before a threshold is theirs."""
STEEPNESS = 60.0
"""Of the curve from cosines to probabilities, as long as labels cannot tell."""
STEPS = 25
ONE_SIDED = 1.645
"""Standard deviations above which a normal variable lies 5 times in a hundred."""
SPREAD = 0.01
"""How much the curve's two numbers are held to where they began."""


@dataclass(frozen=True)
class Labelled:
    """What people said of faces."""

    embeddings: np.ndarray
    """float32 [n, 128], of length 1."""
    personas: Sequence[str]
    """Of each face the identifier of its persona."""
    strangers: np.ndarray
    """float32 [m, 128]: faces that are none of the personas."""


@dataclass(frozen=True, slots=True)
class Promise:
    """How many strangers get a name, as far as the labels tell."""

    named: int
    strangers: int
    """That were tried: those that people marked, and each labelled face as if its persona were not there."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Between what shares that lies, 95 times in a hundred; without any stranger nothing is known."""
        return wilson(self.named, self.strangers) if self.strangers else (0.0, 1.0)


@dataclass(frozen=True)
class PersonaMeans:
    """The classifier. With the same labels it is the same, whatever was learnt before."""

    personas: tuple[str, ...]
    means: np.ndarray
    """float32 [personas, 128], of length 1."""
    threshold: float
    """The cosine from which a face gets a name."""
    scale: float
    bias: float
    """The probability that a face is the persona's is sigmoid(scale × cosine + bias)."""
    promise: Promise

    def cosines(self, embeddings: np.ndarray) -> np.ndarray:
        """Of faces [n, 128] and each persona: float32 [n, personas]."""
        found: np.ndarray = embeddings @ self.means.T
        return found

    def probability(self, cosine: float) -> float:
        """That a face of this cosine is the persona's."""
        return float(1 / (1 + np.exp(-(self.scale * cosine + self.bias))))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who a face is."""

    persona: str | None
    """None: nobody who is known."""
    nearest: str | None
    """Whom it is most like; None where there is no persona, or each was refused."""
    cosine: float


def fit(labelled: Labelled, *, strangers_named: float = 0.01) -> PersonaMeans:
    """The classifier of these labels, of whose strangers at most such a share gets a name.

    Each labelled face is tried as if it were not labelled, and as if its persona were not there.
    """
    tried = _try(labelled)
    threshold, promise = tried.keep(strangers_named)
    scale, bias = _curve(tried.own, tried.strangers, threshold)
    return PersonaMeans(tried.personas, tried.means, threshold, scale, bias, promise)


def thresholds(labelled: Labelled, shares: Sequence[float]) -> list[tuple[float, Promise]]:
    """For each share of strangers that may get a name: the threshold that `fit` takes, and what it promises."""
    tried = _try(labelled)
    return [tried.keep(share) for share in shares]


def judge(
    model: PersonaMeans, embeddings: np.ndarray, refused: Mapping[int, Collection[str]] | None = None
) -> list[Verdict]:
    """Who faces [n, 128] are; `refused` has by their places the personas that people said they are not."""
    if not model.personas:
        return [Verdict(None, None, -1.0)] * len(embeddings)
    cosines = model.cosines(embeddings)
    numbers = {persona: number for number, persona in enumerate(model.personas)}
    for place, personas in (refused or {}).items():
        cosines[place, [numbers[each] for each in personas if each in numbers]] = -np.inf
    nearest = cosines.argmax(axis=1)
    verdicts = []
    for number, cosine in zip(nearest, cosines[np.arange(len(nearest)), nearest], strict=True):
        persona = model.personas[number] if np.isfinite(cosine) else None
        is_near = persona is not None and cosine >= model.threshold
        verdicts.append(Verdict(persona if is_near else None, persona, float(max(cosine, -1.0))))
    return verdicts


def likeness_to_own(labelled: Labelled) -> np.ndarray:
    """How near each labelled face is to the mean of its persona's others: float32 [n]; NaN for a persona's only one.

    The least ones may have a wrong label.
    """
    _, places, sums = _by_persona(labelled)
    return _cosines_to_rest(labelled.embeddings, places, sums)


@dataclass(frozen=True)
class _Tried:
    """The means of personas, and how near labelled faces come to them if they are not counted."""

    personas: tuple[str, ...]
    means: np.ndarray
    own: np.ndarray
    """Cosines of faces to the others of their persona."""
    strangers: np.ndarray
    """Cosines of strangers to the nearest persona."""
    people: int

    def keep(self, share: float) -> tuple[float, Promise]:
        threshold = _threshold(self.strangers, share, people=self.people)
        return threshold, Promise(int((self.strangers >= threshold).sum()), len(self.strangers))


def _try(labelled: Labelled) -> _Tried:
    personas, places, sums = _by_persona(labelled)
    means = _of_length_1(sums)
    own, other = _own_and_others(labelled.embeddings, places, sums, means)
    strangers = np.concatenate([other, _greatest(labelled.strangers @ means.T)])
    return _Tried(personas, means, own, strangers, len(personas) + len(labelled.strangers))


def _by_persona(labelled: Labelled) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """All personas in order, of each face the place of its own, and of each persona the sum of its faces: [n, 128]."""
    personas = tuple(sorted(set(labelled.personas)))
    place_of = {persona: place for place, persona in enumerate(personas)}
    places = np.array([place_of[each] for each in labelled.personas], dtype=np.intp)
    sums = np.zeros((len(personas), labelled.embeddings.shape[1]), np.float32)
    np.add.at(sums, places, labelled.embeddings)
    return personas, places, sums


def _own_and_others(
    embeddings: np.ndarray, places: np.ndarray, sums: np.ndarray, means: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of labelled faces the cosines to the rest of their persona's, where there are any, and to the nearest other's."""
    own = _cosines_to_rest(embeddings, places, sums)
    others = embeddings @ means.T
    others[np.arange(len(places)), places] = -np.inf
    return own[np.isfinite(own)], _greatest(others)


def _cosines_to_rest(embeddings: np.ndarray, places: np.ndarray, sums: np.ndarray) -> np.ndarray:
    rest = sums[places] - embeddings
    counts = np.bincount(places, minlength=len(sums))[places] if len(places) else places
    cosines: np.ndarray = np.einsum("nd,nd->n", embeddings, _of_length_1(rest))
    alone: np.ndarray = np.where(counts > 1, cosines, np.float32(np.nan))
    return alone


def _greatest(cosines: np.ndarray) -> np.ndarray:
    """Of each face the greatest, where there is any persona to compare with."""
    if not cosines.size:
        return np.empty(0, np.float32)
    greatest = cosines.max(axis=1)
    found: np.ndarray = greatest[np.isfinite(greatest)]
    return found


def _threshold(strangers: np.ndarray, share: float, *, people: int) -> float:
    """The cosine that no more than this share of strangers reaches, of whom these are some, of so many people.

    Of sixty strangers none tells what one in a hundred does: the greatest fifth is continued as an exponential tail,
    whose mean is taken to be as large as it may be with so few people (95 %). So a promise is kept from the first
    labels on, and costs less the more there are.
    """
    if len(strangers) < FEWEST_STRANGERS:
        return FIRST_THRESHOLD
    ordered = np.sort(strangers)[::-1].astype(np.float64)
    count = max(FEWEST_STRANGERS // 2, len(ordered) // 5)
    begin = ordered[count]
    excess = float((ordered[:count] - begin).mean()) * (
        1 + ONE_SIDED / np.sqrt(count * people / len(ordered))
    )
    return float(min(begin + excess * np.log(count / (len(ordered) * share)), 1.0))


def _curve(own: np.ndarray, strangers: np.ndarray, threshold: float) -> tuple[float, float]:
    """Scale and bias of a logistic regression of both kinds of cosines, held to a curve that crosses at the threshold.

    Newton's method with a ridge: where the kinds lie apart the likelihood alone has no greatest value.
    """
    start = np.array([STEEPNESS, -STEEPNESS * threshold])
    if not len(own) or not len(strangers):
        return float(start[0]), float(start[1])
    cosines = np.concatenate([own, strangers]).astype(np.float64)
    is_own = np.repeat([1.0, 0.0], [len(own), len(strangers)])
    weights = np.repeat([0.5 / len(own), 0.5 / len(strangers)], [len(own), len(strangers)]) * 100
    # About the threshold, so that the two numbers do not pull at each other.
    points = np.stack([cosines - threshold, np.ones_like(cosines)], axis=1)
    wanted = found = np.array([STEEPNESS, 0.0])
    ridge = np.diag([SPREAD, 1.0])
    for _ in range(STEPS):
        chances = 1 / (1 + np.exp(-np.clip(points @ found, -500, 500)))
        slope = points.T @ (weights * (chances - is_own)) + ridge @ (found - wanted)
        curvature = (points * (weights * chances * (1 - chances))[:, np.newaxis]).T @ points + ridge
        found = found - np.linalg.solve(curvature, slope)
    scale = max(float(found[0]), 1.0)
    return scale, float(found[1]) - scale * threshold


def _of_length_1(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: np.ndarray = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return found
