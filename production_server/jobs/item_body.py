"""One item of a job as it is told outside: by the API, and in the messages of streams."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, WithJsonSchema

from production_server.jobs.records import Item, ItemState
from production_server.models.tasks.label_sets import labels_in, written
from production_server.models.tasks.task import LabelScore, Task

_TOLD = ConfigDict(extra="forbid", protected_namespaces=())


class ItemError(BaseModel):
    """Why an item has no result."""

    model_config = _TOLD

    code: str
    message: str


# Whole numbers stay whole, which floats would make of them only up to 2^53.
Output = Annotated[
    list[Any] | dict[str, Any],
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "object"}]}),
]


class ItemBody(BaseModel):
    """One input of a job and its result; what belongs to the result is null without one.

    `answer` is the answer as people are told it: a label, several, a value with its unit. `label` is the label of a
    model that answers one, `labels` are those of a model that answers several at once. `score` is the probability of
    the label, the largest one of several, or the value of a quantity. `top` are the best labels, best first: five, or
    as many as the model's manifest says in its `top`; null if the version was taken away. `output` are the
    probabilities of all labels in their order, null for a model with `top`, which keeps no others; of a quantity its
    value, with all digits; of a model of tensors its outputs by name. `expected` is what is true, as a table has it:
    `cat|dog` are two labels.
    """

    model_config = _TOLD

    index: int
    name: str | None
    url: str | None
    state: ItemState
    answer: str | None
    label: str | None
    labels: list[str] | None
    score: float | None
    output: Output | None
    top: list[LabelScore] | None
    error: ItemError | None
    expected: str | None
    outside_training_range: list[str]
    version: str
    ms: float | None

    @classmethod
    def of(cls, item: Item, version: str, task: Task) -> Self:
        """The API's view of an item, its answer told by the task of its model."""
        error, prediction, several = None, item.prediction, labels_in(item.label)
        if item.state == "failed":
            error = ItemError(code=item.error_code or "unknown", message=item.error_message or "")
        return cls(
            index=item.index,
            name=item.name,
            url=item.url,
            state=item.state,
            answer=None if prediction is None else task.show(prediction).answer,
            label=item.label if several is None else None,
            labels=None if several is None else list(several),
            score=item.score,
            output=None if prediction is None else task.numbers(prediction),
            top=(prediction and task.best_labels(prediction)) or None,
            error=error,
            expected=None if item.expected is None else written(item.expected),
            outside_training_range=list(item.outside_training_range),
            version=version,
            ms=None if item.ms is None else round(item.ms, 3),
        )
