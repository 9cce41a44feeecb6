"""What a model is for: the interface behind which all lies that is particular to classification, or to another task."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from production_server.errors import InferenceFailed
from production_server.models.manifest import Manifest
from production_server.models.tasks.bins import Bin
from production_server.models.tasks.inputs import Inputs
from production_server.models.tasks.label_sets import written
from production_server.models.tasks.roc import Roc
from production_server.models.tasks.scatter import Scatter
from production_server.models.tensors import Tensors

Stored = Any
"""What JSON can hold, its lists as tuples: each task says what of its answers is kept, and nobody else reads it."""


Box = tuple[float, float, float, float]
"""Left, top, right and bottom, as shares of a picture's width and height."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's answer for one item, as it is stored."""

    label: str | None
    """What results are counted and searched by; None where an answer has no name. Of several: see `label_sets`."""
    score: float | None
    """A number to search by; of a label its probability."""
    output: Stored
    bin: Bin | None = field(default=None, compare=False)
    """Where a value that has no label is counted; not stored with its item."""


# No pydantic model: a page of results has thousands of these, which would take longer to make than all else of it.
@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label and its probability."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A label and its probability, or where a value lies in its range, to be drawn."""

    label: str
    share: float
    is_answer: bool
    threshold: float | None
    """From which share on this label is the answer, where the model has a threshold."""
    text: str | None = None
    """What is written beside it; None: its share; empty: nothing."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How an answer is told in a line: what it is, and beside it, where there is one, its share of 1."""

    answer: str
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is true of an item, told beside its answer."""

    text: str
    is_right: bool | None = None
    """None where that cannot be said: there is no answer, or answers are more or less right."""


class Judged(Protocol):
    """An item with its prediction and what is true of it, as far as both are known."""

    @property
    def expected(self) -> str | None: ...
    @property
    def prediction(self) -> Prediction | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """How well answers agree with what is true; each task has its own, with a template that draws it."""

    template: ClassVar[str]
    roc: Roc | None = None
    """A curve to draw, of answers with two classes, both of which occur."""
    threshold: float | None = None
    """The score that the model's answers turn at, where it has one: marked on the curve."""
    scatter: Scatter | None = None
    """Points to draw, of answers that are values."""


class Task(ABC):
    """A task, bound to the manifest of one version; without state, so threads may share it.

    Beside `check_manifest`, `predict` and `show` all has a default: a task that has no labels needs no more.
    """

    answers: str
    """What people are told that the model answers, where `choices` are none."""
    answers_one_of: ClassVar[str] = "one"
    """How many of its `choices` an answer is."""
    verb: ClassVar[str | None] = None
    """What it does, as TensorFlow Serving calls it: `classify`, `regress`; None: it can only be asked to predict."""
    loss_name: ClassVar[str] = ""
    """What `loss` counts, on the average; empty: answers are not held against what is true."""
    loss_is_share: ClassVar[bool] = True
    """Whether that is a share, from 0 to 1, or measured in the unit of the answers."""
    card: ClassVar[str | None] = None
    """The template of what a model card says of answers, where there is more to say than `answers` and `choices`."""
    truth_is_number: ClassVar[bool] = False
    """Whether what is true is written as a number, as features are."""
    pads: ClassVar[bool] = False
    """Whether outputs of other sizes than their neighbours' may be filled up with zeros: one of them tells how many."""
    is_one_of_its_choices: ClassVar[bool] = False
    """Whether an answer is exactly one of `choices`, so that people can say which one it should be."""
    text_outputs: ClassVar[tuple[str, ...]] = ()
    """Outputs of text that interactive calls get beside the graph's numbers."""

    def __init__(self, manifest: Manifest, inputs: Inputs) -> None:
        self.manifest = manifest
        self.inputs = inputs

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.manifest == self.manifest

    def __hash__(self) -> int:
        return hash((self.manifest.name, self.manifest.version))

    @abstractmethod
    def check_manifest(self) -> None:
        """Whether the manifest says what the task needs.

        Raises:
            ValueError: it does not.
        """

    def fault_of(self, outputs: Tensors) -> str | None:
        """Why outputs of the graph cannot be answers of this task; None: they can."""
        del outputs
        return None

    @abstractmethod
    def predict(self, outputs: Tensors) -> Sequence[Prediction | InferenceFailed]:
        """The answers that the graph's `outputs` (each [items, …]) are; of one that cannot be kept, why."""

    @abstractmethod
    def show(self, prediction: Prediction) -> Shown:
        """An answer in a line."""

    def agrees(self, before: Prediction, after: Prediction) -> bool:
        """Whether two versions answer the same to one input: the same label, or numbers that differ by 1 % at most."""
        if before.label is not None or after.label is not None:
            return before.label == after.label
        return alike(before.output, after.output)

    @property
    def choices(self) -> tuple[str, ...]:
        """The labels that the model chooses from; none where it does not choose."""
        return ()

    def read_truth(self, text: str) -> str | None:
        """What is true of an item, as the column `target` of a table tells it; None: that cannot be."""
        return text

    @property
    def truths(self) -> str:
        """What that column may hold."""
        return self.answers

    @property
    def measures(self) -> str | None:
        """What people are told that a page shows of answers whose truth is known; None: nothing."""
        return None

    @property
    def example_truth(self) -> str:
        """Something that column may hold."""
        return "1"

    def verdict(self, expected: str, prediction: Prediction | None) -> Verdict:
        """What is true of an item (as `read_truth` has it), and whether its answer is."""
        truth = f"truly {self.tell_truth(expected)}"
        if prediction is None or prediction.label is None:
            return Verdict(truth)
        is_right = prediction.label == expected
        return Verdict("right" if is_right else truth, is_right)

    def tell_truth(self, expected: str) -> str:
        """What is true of an item, as answers are told."""
        return written(expected)

    def numbers(self, prediction: Prediction) -> list[int | float] | dict[str, Any] | None:
        """An answer's numbers as the API tells them; None where not all were kept."""
        return list(prediction.output)

    def best_labels(self, prediction: Prediction) -> list[LabelScore]:
        """The labels that were kept, or the best of all, best first."""
        del prediction
        return []

    def bars(self, prediction: Prediction) -> list[Bar]:
        """What is drawn of an answer: each label that was kept."""
        del prediction
        return []

    def boxes(self, prediction: Prediction) -> list[Box]:
        """What is framed in the picture that went in, in the order in which an answer tells it."""
        del prediction
        return []

    def margin(self, prediction: Prediction) -> float:
        """How far an answer is from being another one, from 0 to 1; asked only where it `is_one_of_its_choices`."""
        raise NotImplementedError

    def values(self, prediction: Prediction) -> list[tuple[str, str]]:
        """What is written out of an answer on its page: names and texts."""
        del prediction
        return []

    def columns(self) -> list[str]:
        """The columns that a prediction fills in a table of results, beside label and score."""
        return []

    def cells(self, prediction: Prediction) -> list[object]:
        """What belongs below `columns`."""
        del prediction
        return []

    def evaluate(self, items: Iterable[Judged]) -> Evaluated | None:
        """Hold the answers against what is true, in one pass; None if no item has both."""
        del items
        return None

    def loss(self, prediction: Prediction, truth: str) -> float:
        """How far an answer is from what is true (as `read_truth` has it): 0 is right, more is worse."""
        raise NotImplementedError

    def texts(self, outputs: Tensors) -> dict[str, list[str]]:
        """`text_outputs` of a batch, one text for each item."""
        del outputs
        return {}

    def results(self, outputs: Tensors) -> list[Any]:
        """What TensorFlow Serving's API answers to `verb`: a value for each item."""
        raise NotImplementedError


def alike(before: Stored, after: Stored) -> bool:
    """Whether two answers are the same but for numbers that differ by 1 % at most."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return before.keys() == after.keys() and all(alike(before[name], after[name]) for name in before)
    if _is_list(before) and _is_list(after):
        return len(before) == len(after) and all(map(alike, before, after))
    if _is_number(before) and _is_number(after):
        return math.isclose(before, after, rel_tol=0.01, abs_tol=1e-6)
    return bool(before == after)


def _is_list(value: Stored) -> bool:
    return isinstance(value, list | tuple)


def _is_number(value: Stored) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
