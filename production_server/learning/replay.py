"""What a version answers to inputs that another one has answered: where they disagree, before anybody gets it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from production_server.errors import CeleriacError
from production_server.models.manifest import Frozen
from production_server.models.store import ModelVersion
from production_server.models.tasks.task import Prediction

Predict = Callable[[Sequence[bytes]], Sequence[Prediction | CeleriacError]]
"""Answers inputs as they are stored, in their order; fewer where there was no time for all."""

MOST_ITEMS = 200
LONGEST_S = 10.0
"""No more is asked after that: whoever promotes waits."""
BATCH_ITEMS = 20
MOST_TOLD = 20


class Answered(Protocol):
    """An input as it is stored, an item of a job, and what was answered to it."""

    @property
    def job_id(self) -> UUID: ...

    @property
    def index(self) -> int: ...

    @property
    def payload(self) -> bytes: ...

    @property
    def prediction(self) -> Prediction: ...


class Disagreement(Frozen):
    """An item of a job that both answer otherwise, told in a line each."""

    job: UUID
    index: int
    before: str
    after: str


class Replay(Frozen):
    """What came of it; `others` are the first of `disagreements`."""

    against: str
    """The version that had answered."""
    items: int
    disagreements: int
    others: tuple[Disagreement, ...]
    seconds: float

    @property
    def told(self) -> str:
        """In a line, for people."""
        how = (
            f"{self.disagreements} otherwise than version {self.against}"
            if self.disagreements
            else "none otherwise"
        )
        return f"of the last {self.items} items of jobs it answers {how}"


def replay(version: ModelVersion, against: str, past: Sequence[Answered], predict: Predict) -> Replay:
    """Have a version answer what `against` has answered.

    Raises:
        CeleriacError: the version does not run at all.
    """
    began, asked, count, others = time.monotonic(), 0, 0, list[Disagreement]()
    while asked < len(past) and time.monotonic() - began < LONGEST_S:
        batch = past[asked : asked + BATCH_ITEMS]
        results = predict([each.payload for each in batch])
        for each, result in zip(batch, results, strict=False):
            told = _disagreement(version, each, result)
            if told is not None:
                count += 1
                others.append(told)
        asked += max(1, len(results))
    return Replay(
        against=against,
        items=min(asked, len(past)),
        disagreements=count,
        others=tuple(others[:MOST_TOLD]),
        seconds=round(time.monotonic() - began, 3),
    )


def _disagreement(
    version: ModelVersion, past: Answered, result: Prediction | CeleriacError
) -> Disagreement | None:
    if isinstance(result, Prediction):
        if version.task.agrees(past.prediction, result):
            return None
        after = _line(version, result)
    else:
        after = f"{result.code}: {result}"
    return Disagreement(
        job=past.job_id, index=past.index, before=_line(version, past.prediction), after=after
    )


def _line(version: ModelVersion, prediction: Prediction) -> str:
    shown = version.task.show(prediction)
    return shown.answer if shown.share is None else f"{shown.answer} ({shown.share:.0%})"
