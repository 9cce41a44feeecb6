"""What a model card shows as a call is what the model takes."""

from __future__ import annotations

from datetime import UTC, datetime

from production_server.models.manifest import Manifest, TensorSpec
from production_server.models.runners.faces import OUTPUTS, PICTURE
from production_server.models.tasks import task_of
from production_server.web.pages.examples import example_items, example_request


def manifest(task: str, *, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> Manifest:
    return Manifest(
        schema_version=1, name="mine", version="1", title="", created=datetime.now(UTC), task=task, inputs=inputs,
        outputs=outputs, metrics=None, training_data=(), code_revision=None, parity=None, files={},
    )  # fmt: skip


def test_a_model_of_pictures_of_any_size_is_asked_with_files() -> None:
    task = task_of(manifest("faces", inputs=(PICTURE,), outputs=OUTPUTS))

    assert (example_request(task), example_items(task)) == (None, "")


def test_a_model_of_tensors_is_asked_with_one_item_of_zeros() -> None:
    pair = TensorSpec(name="pair", shape=(None, 2), dtype="float32")
    task = task_of(manifest("tensors", inputs=(pair,), outputs=(pair,)))

    assert example_items(task) == '[{"pair": [0, 0]}]'
    assert example_request(task) == '{"model": "mine", "inputs": [{"pair": [0, 0]}]}'
