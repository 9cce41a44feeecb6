"""What a model is for, and what its manifest says: from what is said of it, its file and a sample, in this order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from production_server.errors import InvalidInput
from production_server.models.importing.answers import answers_of
from production_server.models.importing.described import Described
from production_server.models.importing.fitting import Fitting
from production_server.models.importing.image_fitting import ImageFitting, fit_images, looks_like_images
from production_server.models.importing.opened import Opened
from production_server.models.importing.row_fitting import RowFitting, fit_rows, looks_like_rows
from production_server.models.importing.sample import Images, Sample
from production_server.models.manifest import TensorSpec
from production_server.shown import shown


@dataclass(frozen=True)
class Inferred:
    """What is served, and the manifest's fields that say so."""

    fitting: Fitting
    fields: dict[str, Any]
    notes: tuple[str, ...] = field(default=())
    """What was assumed, one sentence each, for people."""


def infer(opened: Opened, described: Described, sample: Sample | None) -> Inferred:
    """Find out the task, what goes in and what comes out.

    Raises:
        InvalidInput: something has to be said, or contradicts the file; by name, with an example.
    """
    output = _chosen_output(opened, described)
    if output is None or _kind_of_inputs(opened, described, sample) is None or described.task == "tensors":
        return _tensors(opened, described)
    front = _front(opened, described, sample)
    answers = answers_of(opened, output, described, sample, is_image=isinstance(front, ImageFitting))
    prefix = "image" if isinstance(front, ImageFitting) else "tabular"
    task = f"{prefix}_{answers.kind}"
    if described.task not in {None, task}:
        raise InvalidInput.at("task", f"{task}, which is what the file looks like", str(described.task))
    fitting = Fitting(
        inputs=(front.served,),
        outputs=(answers.served,),
        before=front.before,
        output=output.name if answers.behind or len(opened.outputs) > 1 else None,
        behind=answers.behind,
    )
    _check_runner(opened, fitting)
    return Inferred(
        fitting,
        {"task": task, **front.fields, **answers.fields},
        (*opened.notes, *front.notes, *answers.notes),
    )


def _chosen_output(opened: Opened, described: Described) -> TensorSpec | None:
    """The one output that is the answer; None where there are several and nobody says which."""
    names = [spec.name for spec in opened.outputs]
    if described.output is not None and described.output not in names:
        raise InvalidInput.at("output", f"one of {', '.join(names)}", shown(described.output))
    if described.output is not None:
        return opened.outputs[names.index(described.output)]
    if len(names) > 1 and (described.task or "tensors") != "tensors":
        raise InvalidInput.at(
            "output",
            f"which one is the answer, as output: {names[0]}",
            f"{len(names)} outputs: {', '.join(names)}",
        )
    return opened.outputs[0] if len(names) == 1 else None


def _kind_of_inputs(opened: Opened, described: Described, sample: Sample | None) -> str | None:
    if described.is_of_images or isinstance(sample, Images) or looks_like_images(opened.inputs):
        return "images"
    return "rows" if looks_like_rows(opened.inputs) else None


def _front(opened: Opened, described: Described, sample: Sample | None) -> ImageFitting | RowFitting:
    if _kind_of_inputs(opened, described, sample) == "images":
        return fit_images(opened.inputs, described)
    return fit_rows(opened.inputs, described, sample)


def _tensors(opened: Opened, described: Described) -> Inferred:
    if described.task not in {None, "tensors"}:
        taken = ", ".join(f"{spec.name} {list(spec.item_shape)}" for spec in opened.inputs)
        raise InvalidInput.at(
            "task", "tensors: neither rows nor images go in", f"{described.task} for {shown(taken)}"
        )
    return Inferred(Fitting(opened.inputs, opened.outputs), {"task": "tensors"}, opened.notes)


def _check_runner(opened: Opened, fitting: Fitting) -> None:
    if opened.runner != "onnx" and not fitting.changes_nothing:
        raise InvalidInput.at(
            "file",
            "a model that takes and gives what its task needs: it does not export to ONNX, and stays as it is",
            "one whose layout, types or activation differ",
        )
