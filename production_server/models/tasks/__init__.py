"""Tasks: what a model is for. One module for each, which all others ask for what is particular to it."""

from __future__ import annotations

from collections.abc import Callable

from production_server.models.manifest import Manifest
from production_server.models.tasks.classification import Classification
from production_server.models.tasks.faces import Faces
from production_server.models.tasks.image_inputs import ImageInputs
from production_server.models.tasks.picture_inputs import PictureInputs
from production_server.models.tasks.regression import Regression
from production_server.models.tasks.row_inputs import RowInputs
from production_server.models.tasks.several_labels import SeveralLabels
from production_server.models.tasks.task import Task
from production_server.models.tasks.tensor_inputs import TensorInputs
from production_server.models.tasks.tensors import Tensor

TASKS: dict[str, Callable[[Manifest], Task]] = {
    "tabular_classification": lambda manifest: Classification(manifest, RowInputs(manifest)),
    "image_classification": lambda manifest: Classification(manifest, ImageInputs(manifest)),
    "tabular_multilabel_classification": lambda manifest: SeveralLabels(manifest, RowInputs(manifest)),
    "image_multilabel_classification": lambda manifest: SeveralLabels(manifest, ImageInputs(manifest)),
    "tabular_regression": lambda manifest: Regression(manifest, RowInputs(manifest)),
    "image_regression": lambda manifest: Regression(manifest, ImageInputs(manifest)),
    "faces": lambda manifest: Faces(manifest, PictureInputs(manifest)),
    "tensors": lambda manifest: Tensor(manifest, TensorInputs(manifest)),
}
"""By the `task` of a manifest."""


def task_of(manifest: Manifest) -> Task:
    """What the model of a manifest is for, after the manifest was checked.

    Raises:
        ValueError: nobody knows the task, or the manifest does not say what it needs.
    """
    make = TASKS.get(manifest.task)
    if make is None:
        raise ValueError(f"task: expected one of {', '.join(TASKS)}, got {manifest.task}")
    task = make(manifest)
    task.inputs.check_manifest()
    task.check_manifest()
    return task
