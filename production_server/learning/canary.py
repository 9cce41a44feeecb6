"""Whether a canary does as well as what is stable, by what both answered in the same time; or if too little is known.

Shares are held against each other by Newcombe's interval (Statistics in Medicine 17, 1998, method 10) of Wilson's two
(JASA 22, 1927); percentiles by order statistics.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from production_server.intervals import wilson

CALLS, ITEMS = "calls", "items"
"""What is held against each other: times of calls and of items of jobs differ."""
ENOUGH = 200
"""Fewer answers of either version never make a canary as good."""
SURE = 3.29
"""Standard deviations: a canary is looked at every few seconds, and chance is not to take it back once in thousands."""
LIKELY = 1.96
MORE_FAILURES = 0.02
"""So much more of its answers may fail."""
SLOWER, SLOWER_MS = 1.5, 5.0
"""So many times as long, and so much longer, 95 of 100 may take at most."""
OTHER_LABELS = 0.15
"""So much of its answers may have other labels than those of stable (total variation distance)."""
STEP = 1.05
"""Times are counted in classes, each so many times as long as the one before: so exact are percentiles."""


class CanaryVerdict(StrEnum):
    """What is known of a canary. Programs may rely on the names."""

    AS_GOOD = "as_good"
    WORSE = "worse"
    UNKNOWN = "unknown"
    """There is too little, or it is too close, to say."""


WORDS = {
    CanaryVerdict.AS_GOOD: "as good as what is stable, or better",
    CanaryVerdict.WORSE: "worse than what is stable",
    CanaryVerdict.UNKNOWN: "not enough is known yet",
}
"""For people."""


@dataclass(slots=True)
class Seen:
    """What one version answered, of one kind of work."""

    answers: int = 0
    failed: int = 0
    """Of them: the model failed, or answered numbers that are not finite."""
    times: Counter[int] = field(default_factory=Counter)
    """How many batches took how long, by `class_of`: all items of one take as long, so they tell of it once."""
    labels: Counter[str] = field(default_factory=Counter)
    """Empty of models without labels."""

    def add(self, other: Seen) -> None:
        """Count what another one has seen as well."""
        self.answers += other.answers
        self.failed += other.failed
        self.times.update(other.times)
        self.labels.update(other.labels)

    def count(self, label: str | None, *, ms: float | None, failed: bool) -> None:
        """Count one answer, that took so many milliseconds; None: its batch has been timed."""
        self.answers += 1
        self.failed += failed
        if ms is not None and not failed:
            self.times[class_of(ms)] += 1
        if label is not None:
            self.labels[label] += 1

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        times = {str(place): count for place, count in self.times.items()}
        return {"answers": self.answers, "failed": self.failed, "times": times, "labels": dict(self.labels)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """As it was stored."""
        times = Counter({int(place): count for place, count in stored["times"].items()})
        return cls(stored["answers"], stored["failed"], times, Counter(stored["labels"]))

    @property
    def p95_ms(self) -> float | None:
        """What 95 of 100 took at most, in milliseconds; None: nothing was timed."""
        return self.percentile_ms(0.95)

    def percentile_ms(self, share: float, *, deviations: float = 0.0) -> float | None:
        """The time below which that share lies; so many standard deviations of its rank further on, or back.

        None: too few were timed to say.
        """
        count = self.times.total()
        rank = share * count + deviations * math.sqrt(count * share * (1 - share))
        if deviations < 0:
            # Of a few, more are slow than the normal distribution knows: the skew of the binomial one (Cornish and
            # Fisher), and half a step, since ranks are whole.
            rank -= (deviations**2 - 1) * (2 * share - 1) / 6 + 0.5
        if rank <= 0:
            return None
        if rank > count:
            return math.inf
        passed = 0
        for place in sorted(self.times):
            passed += self.times[place]
            if passed >= rank:
                return STEP**place
        return STEP ** max(self.times)


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict, and what it rests on, a sentence each."""

    verdict: CanaryVerdict
    reasons: tuple[str, ...]


def class_of(ms: float) -> int:
    """The class of times that so many milliseconds belong to."""
    return math.ceil(math.log(max(ms, 0.001), STEP))


def judge(canary: Seen, stable: Seen, *, work: str) -> Judged:
    """Hold what both answered against each other; `work` is what it is called: `calls`, or `items`."""
    worse = tuple(_faults(canary, stable))
    if worse:
        return Judged(CanaryVerdict.WORSE, worse)
    for seen, who in ((canary, "the canary"), (stable, "stable")):
        if seen.answers < ENOUGH:
            return Judged(CanaryVerdict.UNKNOWN, (f"too few: {seen.answers} of {ENOUGH} {work} of {who}",))
    _, most = _difference(canary, stable, LIKELY)
    if most > MORE_FAILURES:
        told = (
            f"too close: up to {most:.1%} more of its {work} may fail, at most {MORE_FAILURES:.0%} is as good"
        )
        return Judged(CanaryVerdict.UNKNOWN, (told,))
    return Judged(CanaryVerdict.AS_GOOD, (f"as good on {canary.answers} {work}",))


def _faults(canary: Seen, stable: Seen) -> Iterator[str]:
    least, _ = _difference(canary, stable, SURE)
    if least > MORE_FAILURES:
        yield f"{_share(canary.failed, canary.answers)} fail, of stable {_share(stable.failed, stable.answers)}"
    fast, slow = canary.percentile_ms(0.95, deviations=-SURE), stable.percentile_ms(0.95, deviations=SURE)
    if fast is not None and slow is not None and fast > max(SLOWER * slow, slow + SLOWER_MS):
        yield f"95 of 100 take up to {canary.p95_ms:.3g} ms, of stable {stable.p95_ms:.3g} ms"
    distance, noise = _labels_apart(canary, stable)
    if distance - SURE * noise > OTHER_LABELS:
        yield f"{distance:.0%} of its labels are others: {_mix(canary)}, of stable {_mix(stable)}"


def _difference(canary: Seen, stable: Seen, deviations: float) -> tuple[float, float]:
    """How much more of the canary's answers fail, at least and at most."""
    if not canary.answers or not stable.answers:
        return -1.0, 1.0
    first, second = canary.failed / canary.answers, stable.failed / stable.answers
    first_low, first_high = wilson(canary.failed, canary.answers, deviations)
    second_low, second_high = wilson(stable.failed, stable.answers, deviations)
    between = first - second
    return (
        between - math.hypot(first - first_low, second_high - second),
        between + math.hypot(first_high - first, second - second_low),
    )


def _labels_apart(canary: Seen, stable: Seen) -> tuple[float, float]:
    """The total variation distance of the labels' shares, and about how much of it chance alone makes."""
    counts = canary.labels.total(), stable.labels.total()
    if not all(counts):
        return 0.0, 0.0
    apart = noise = 0.0
    for label in {*canary.labels, *stable.labels}:
        first, second = canary.labels[label] / counts[0], stable.labels[label] / counts[1]
        both = (canary.labels[label] + stable.labels[label]) / sum(counts)
        apart += abs(first - second) / 2
        noise += math.sqrt(both * (1 - both) * (1 / counts[0] + 1 / counts[1])) / 2
    return apart, noise


def _share(hits: int, count: int) -> str:
    return f"{hits} of {count} ({hits / count:.1%})" if count else "0 of 0"


def _mix(seen: Seen) -> str:
    total = seen.labels.total()
    return ", ".join(f"{label} {count / total:.0%}" for label, count in seen.labels.most_common(3))
