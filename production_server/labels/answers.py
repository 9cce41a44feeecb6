"""Which models people can label for, and which texts are labels of theirs."""

from __future__ import annotations

from production_server.errors import InvalidInput
from production_server.models.tasks.labelled import MAX_LABEL_BYTES
from production_server.models.tasks.task import Task
from production_server.shown import describe


def check_takes_labels(task: Task) -> None:
    """Whether people can say which label an item of this model has.

    Raises:
        InvalidInput: its answers are values, tensors, or several labels at once.
    """
    if not task.is_one_of_its_choices:
        got = f"{task.manifest.name}, which answers with {task.answers}"
        raise InvalidInput.at("model", "a model that answers with one of its labels", got)


def read_answer(task: Task, text: str, *, is_new: bool, field: str = "label") -> str:
    """The label that is meant, as columns of tables with what is true tell it; `is_new`: it may be one of its own.

    Raises:
        InvalidInput: the model has no such label, and none is to be added, or it cannot be one.
    """
    known = task.read_truth(text)
    if known is not None:
        return known
    if not is_new:
        raise InvalidInput.at(
            field, f"a label of {task.manifest.name}: {_some(task.choices)}", describe(text)
        )
    name = text.strip()
    if not name or not name.isprintable() or len(name.encode(errors="replace")) > MAX_LABEL_BYTES:
        expected = f"a name of at most {MAX_LABEL_BYTES} bytes, without control characters"
        raise InvalidInput.at(field, expected, describe(text))
    return name


def _some(labels: tuple[str, ...]) -> str:
    return ", ".join(labels[:10]) + (", …" if len(labels) > 10 else "")
