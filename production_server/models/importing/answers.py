"""What a model answers: which kind of answer its output is, and what has to be put behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from production_server.errors import InferenceFailed, InvalidInput
from production_server.models.importing.described import Described, DescribedQuantity
from production_server.models.importing.drawn import draw
from production_server.models.importing.names import plain_names
from production_server.models.importing.opened import Opened
from production_server.models.importing.operations import (
    Cast,
    Complement,
    Exp,
    Operation,
    Reshape,
    Sigmoid,
    Softmax,
)
from production_server.models.importing.sample import Images, Rows, Sample
from production_server.models.manifest import TensorSpec
from production_server.models.tasks.label_sets import BETWEEN
from production_server.shown import shown

Kind = Literal["classification", "multilabel_classification", "regression"]
PROBED_ITEMS = 64
MANY_LABELS = 100
"""From so many on a job keeps the best ones of each item: all probabilities of a million items would be gigabytes."""
BEST_LABELS = 5
_NAME = "probabilities"
_ALMOST = 1e-3
"""How far from 1 the sum of probabilities may be that were rounded to float16."""


@dataclass(frozen=True)
class Answers:
    """The kind of answers, the output as it is served, the steps to it, and what the manifest says of it."""

    kind: Kind
    served: TensorSpec
    behind: tuple[Operation, ...]
    fields: dict[str, Any]
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class _Given:
    """An output that has been made to numbers `[items, count]`."""

    spec: TensorSpec
    count: int
    steps: tuple[Operation, ...]
    activation: str | None
    """What its numbers are: `softmax`, `log_softmax`, `sigmoid`, `linear`; None where nobody knows."""


def answers_of(
    opened: Opened, output: TensorSpec, described: Described, sample: Sample | None, *, is_image: bool
) -> Answers:
    """What the output `output` is, of a model of rows or images.

    Raises:
        InvalidInput: it is nothing that a task has, or something has to be said first; by name, with an example.
    """
    given = _numbers(opened, output, described)
    kind = _kind_of(given, opened, described, sample, is_image=is_image)
    if kind == "regression":
        return _regression(given, described, sample)
    if kind == "multilabel_classification":
        return _several_labels(given, opened, described, sample)
    return _classification(given, opened, described, sample)


def _numbers(opened: Opened, output: TensorSpec, described: Described) -> _Given:
    if output.dtype in {"string", "bool"} or None in output.item_shape:
        raise InvalidInput.at(
            f"outputs.{output.name}",
            "numbers of a known count, or task: tensors",
            f"{output.dtype} {list(output.item_shape)}",
        )
    steps: list[Operation] = []
    count = math.prod(output.known_item_shape)
    if output.dtype != "float32":
        steps.append(Cast("float32"))
    sizes = [size for size in output.item_shape if size != 1]
    if output.item_shape != (count,) and len(sizes) <= 1:
        steps.append(Reshape((count,)))
    elif len(sizes) > 1:
        raise InvalidInput.at(
            f"outputs.{output.name}",
            "a list of numbers for each item, or task: tensors",
            f"{list(output.item_shape)}",
        )
    known = opened.last_activation if len(opened.outputs) == 1 else None
    return _Given(output, count, tuple(steps), _checked_activation(opened, output, known, described))


def _checked_activation(
    opened: Opened, output: TensorSpec, known: str | None, described: Described
) -> str | None:
    """What the graph tells of its last layer, unless its numbers say otherwise."""
    if described.activation == "none":
        return None
    seen = _seen(_probe(opened, output.name))
    if described.activation is not None:
        _check_not_twice(described.activation, known, seen)
        return "linear"
    if known == "softmax" and seen == "linear":
        return "linear"
    return known or seen


def _check_not_twice(wanted: str, known: str | None, seen: str | None) -> None:
    """Refuse to make probabilities of probabilities: answers would be near to each other, and none far from wrong.

    Raises:
        InvalidInput: the output has been through it already (field `activation`).
    """
    is_there = seen == "softmax" or (known == wanted and seen != "linear")
    if is_there:
        raise InvalidInput.at(
            "activation",
            "none, or nothing at all: the output is probabilities already",
            f"{wanted}; on {PROBED_ITEMS} random items its numbers lie between 0 and 1"
            + (" and sum to 1" if seen == "softmax" else ""),
        )


def _seen(numbers: np.ndarray | None) -> str | None:
    """What numbers look like: shares that sum to 1, shares, or anything; None where there are none."""
    if numbers is None or not np.isfinite(numbers).all():
        return None
    flat = numbers.reshape(len(numbers), -1).astype(np.float64)
    if flat.min(initial=0.0) < -_ALMOST or flat.max(initial=0.0) > 1 + _ALMOST:
        return "linear"
    is_whole = flat.shape[1] > 1 and np.allclose(flat.sum(axis=1), 1, atol=_ALMOST)
    return "softmax" if is_whole else None


def _probe(opened: Opened, name: str) -> np.ndarray | None:
    try:
        return np.asarray(opened.original(draw(opened.inputs, PROBED_ITEMS, np.random.default_rng(4)))[name])
    except InferenceFailed:
        return None


def _kind_of(
    given: _Given, opened: Opened, described: Described, sample: Sample | None, *, is_image: bool
) -> Kind:
    """As somebody says, or as the output looks."""
    for kind in ("multilabel_classification", "regression", "classification"):
        if (described.task or "").endswith(f"_{kind}"):
            return kind
    if described.quantity is not None:
        return "regression"
    labels = _labels_known(opened, described, sample, given.count)
    if given.count == 1:
        return _kind_of_one(given, described, labels)
    if described.thresholds or (given.activation == "sigmoid" and described.activation is None):
        return "multilabel_classification"
    if described.activation == "sigmoid":
        return "multilabel_classification"
    if given.activation in {"softmax", "log_softmax"} or labels or is_image or described.activation:
        return "classification"
    raise InvalidInput.at(
        "task",
        "what its answers are: give labels (labels: [no, yes]) for a classification, or "
        "task: tensors for numbers as they are",
        f"nothing, for {given.count} numbers",
    )


def _kind_of_one(given: _Given, described: Described, labels: Sequence[str]) -> Kind:
    if len(labels) == 2 or described.threshold is not None or described.activation == "sigmoid":
        return "classification"
    if given.activation == "sigmoid":
        raise InvalidInput.at(
            "labels",
            "two names, that of 0 first, as labels: [no, yes]; or task: tabular_regression for a share",
            "nothing, for one probability",
        )
    return "regression"


def _labels_known(opened: Opened, described: Described, sample: Sample | None, count: int) -> tuple[str, ...]:
    """Labels that somebody, the file or the sample has; the sample's only where there are as many as answers."""
    said = described.labels or opened.labels
    if said:
        return said
    found: tuple[str, ...] = ()
    if isinstance(sample, Images) or (isinstance(sample, Rows) and sample.truths and not sample.has_values):
        found = sample.labels
    return found if len(found) == max(count, 2) else ()


def _labels(
    opened: Opened, described: Described, sample: Sample | None, *, count: int, given: _Given
) -> tuple[tuple[str, ...], list[str]]:
    labels = _labels_known(opened, described, sample, given.count)
    if not labels:
        named = tuple(f"class_{place}" for place in range(count))
        return named, [f"Its labels are called class_0 to class_{count - 1}: say what they are by labels."]
    if len(labels) != count:
        raise InvalidInput.at(
            "labels",
            f"{count}, one for each number of the output {given.spec.name}",
            f"{len(labels)}: {shown(', '.join(labels))}",
        )
    if len(set(labels)) != count:
        twice = sorted({label for label in labels if labels.count(label) > 1})
        raise InvalidInput.at("labels", "names that differ", shown(f"{', '.join(twice)} more than once"))
    own = opened.labels
    if described.labels and own and described.labels != own:
        if set(labels) == set(own):
            raise InvalidInput.at(
                "labels", f"the file's own order ({shown(', '.join(own))})", shown(", ".join(labels))
            )
        called = ", ".join(f"{new} for {old}" for new, old in zip(labels, own, strict=True))
        return labels, [f"Its labels are called otherwise than in the file: {shown(called)}."]
    if not described.labels and not opened.labels:
        return labels, ["Its labels are the sample's, in the order of their names."]
    return labels, []


def _classification(given: _Given, opened: Opened, described: Described, sample: Sample | None) -> Answers:
    count = max(given.count, 2)
    labels, notes = _labels(opened, described, sample, count=count, given=given)
    steps, name = list(given.steps), given.spec.name
    if given.count == 1:
        if given.activation == "linear":
            steps.append(Sigmoid())
            notes.append("A sigmoid is put behind its output, which is a logit.")
        steps.append(Complement())
        name = _NAME
        notes.append(f"Its one probability is that of {labels[1]}; that of {labels[0]} is put beside it.")
    elif given.activation == "log_softmax":
        steps.append(Exp())
        name = _NAME
        notes.append("Its output is logarithms; an exponential behind it makes them probabilities.")
    elif given.activation == "linear":
        steps.append(Softmax())
        name = _NAME
        notes.append("A softmax is put behind its output, which is logits and no probabilities.")
    fields: dict[str, Any] = {"labels": labels, **_target(described, sample)}
    _choose(fields, described, count, is_one=given.count == 1, labels=labels, notes=notes)
    served = TensorSpec(name=name, shape=(None, count), dtype="float32")
    return Answers("classification", served, tuple(steps), fields, tuple(notes))


def _choose(
    fields: dict[str, Any],
    described: Described,
    count: int,
    *,
    is_one: bool,
    labels: Sequence[str],
    notes: list[str],
) -> None:
    """How an answer is chosen from the probabilities, and how many of them are kept."""
    if described.thresholds:
        raise InvalidInput.at("thresholds", "none: one label is the answer", f"{len(described.thresholds)}")
    if described.threshold is not None and count != 2:
        raise InvalidInput.at(
            "threshold", "none, for a model with more than two labels", f"{described.threshold:g}"
        )
    if described.threshold is not None:
        fields["threshold"] = {"value": described.threshold, "reason": "as whoever imported it said"}
    elif is_one:
        fields["threshold"] = {"value": 0.5, "reason": "nobody said another one"}
        notes.append(f"From a probability of 0.5 on the answer is {labels[1]}: say another one by threshold.")
    _keep_best(fields, described, count, notes)


def _keep_best(fields: dict[str, Any], described: Described, count: int, notes: list[str]) -> None:
    """How many labels are kept of each item."""
    if described.top is not None:
        if described.top >= count:
            raise InvalidInput.at("top", f"fewer than all {count} labels", str(described.top))
        fields["top"] = described.top
    elif count >= MANY_LABELS:
        fields["top"] = BEST_LABELS
        notes.append(
            f"Of its {count} labels a job keeps the {BEST_LABELS} best of each item: top says another number."
        )


def _several_labels(given: _Given, opened: Opened, described: Described, sample: Sample | None) -> Answers:
    labels, notes = _labels(opened, described, sample, count=given.count, given=given)
    steps, name = list(given.steps), given.spec.name
    if given.activation == "linear":
        steps.append(Sigmoid())
        name = _NAME
        notes.append("A sigmoid is put behind its output, which is logits and no probabilities.")
    if wrong := [label for label in labels if BETWEEN in label]:
        raise InvalidInput.at(
            "labels", f"names without {BETWEEN}, which stands between several", shown(wrong[0])
        )
    thresholds = described.thresholds or (described.threshold or 0.5,) * given.count
    if len(thresholds) != given.count:
        raise InvalidInput.at("thresholds", f"{given.count}, one for each label", str(len(thresholds)))
    if not described.thresholds and described.threshold is None:
        notes.append("Each label is an answer from a probability of 0.5 on: say others by thresholds.")
    fields = {"labels": labels, "thresholds": thresholds, **_target(described, sample)}
    _keep_best(fields, described, given.count, notes)
    served = TensorSpec(name=name, shape=(None, given.count), dtype="float32")
    return Answers("multilabel_classification", served, tuple(steps), fields, tuple(notes))


def _regression(given: _Given, described: Described, sample: Sample | None) -> Answers:
    if given.count != 1:
        raise InvalidInput.at(
            f"outputs.{given.spec.name}", "one number for each item, or task: tensors", f"{given.count}"
        )
    if described.labels:
        raise InvalidInput.at(
            "labels", "none, for a model that answers a quantity", f"{len(described.labels)}"
        )
    said = described.quantity
    target = _target(described, sample).get("target")
    written = (said.name if said else None) or target or given.spec.name
    (name,) = plain_names([written], otherwise="value")
    notes = (
        ()
        if said
        else (f"Its answer is called {name}: say what it is by quantity: {{name: ..., unit: ...}}.",)
    )
    seen = sample.truth_range if isinstance(sample, Rows) else None
    said = said or DescribedQuantity()
    quantity = {
        "name": name,
        "label": said.label or written,
        "unit": said.unit,
        "minimum": said.minimum if said.minimum is not None or seen is None else seen[0],
        "maximum": said.maximum if said.maximum is not None or seen is None else seen[1],
    }
    # Numbers keep their own dtype: of a double, or a whole number, half of the digits would be lost.
    steps = tuple(each for each in given.steps if not isinstance(each, Cast))
    served = TensorSpec(name=given.spec.name, shape=(None, 1), dtype=given.spec.dtype)
    return Answers("regression", served, steps, {"quantity": quantity, "target": target or name}, notes)


def _target(described: Described, sample: Sample | None) -> dict[str, str]:
    target = described.target or (sample.target if isinstance(sample, Rows) else None)
    return {"target": target} if target else {}
