"""Use case: published weights of MobileNet in, a version that classifies photos as ImageNet's 1,000 classes out."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import keras
import numpy as np

from production_server.models import manifest as card
from production_server.models.drafts import draft_version
from production_server.training.datasets import obtain
from production_server.training.export import declare, export_model
from production_server.training.gate_check import pass_gate
from production_server.training.imagenet import CLASS_INDEX, read_labels
from production_server.training.mobilenet_weights import load_into
from production_server.training.revision import code_revision
from production_server.training.serving_check import check_files, chosen_places

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from production_server.learning.report import CheckName
    from production_server.models.drafts import Draft
    from production_server.models.importing.keras_export import Signature
    from production_server.training.mobilenet_weights import Network, Weights
    from production_server.training.parity_inputs import ParityInputs
    from production_server.training.progress import Reporter

CLASS_INDEX_FILE = "class_index.json"
TOP = 5
LARGEST_DIFFERENCE = 1e-4
"""Between Keras' and ONNX Runtime's probabilities: more layers than the trained models have add up more rounding."""


def build(network: Network) -> keras.Model:
    """The network of keras.applications with its last layers and without weights: float32 [n, 224, 224, 3] in."""
    make = {"mobilenet": keras.applications.MobileNet, "mobilenet_v2": keras.applications.MobileNetV2}
    return make[network.variant](alpha=network.alpha, weights=None)


def publish_mobilenet(
    weights: Weights,
    inputs: ParityInputs,
    *,
    name: str,
    store: Path,
    reporter: Reporter,
    allowed: Collection[CheckName] = (),
) -> Path:
    """Load, export, compare and publish; returns the new version's folder. Nothing is trained.

    Raises:
        TrainingError: the weights do not fit, ImageNet's class index cannot be had, the export is not the model, or
            the store cannot be written.
        GateClosed: it fails a check of the gate that is not `allowed`.
    """
    class_index = obtain(CLASS_INDEX, reporter)
    model = build(weights.network)
    load_into(model, weights)
    signature = declare(model, "image")
    with draft_version(store, name) as draft:
        reporter.say(f"Exporting {name} version {draft.version}, comparing on {inputs.origin}")
        parity = export_model(model, draft.folder, signature, inputs, allowed=LARGEST_DIFFERENCE)
        reporter.say(f"Keras and ONNX Runtime differ by at most {parity.max_abs_difference:.1e}")
        # The labels are for people; this has the WordNet identifier of each of them.
        shutil.copyfile(class_index, draft.folder / CLASS_INDEX_FILE)
        labels = read_labels(class_index)
        manifest = _manifest(weights, inputs, signature, parity, labels, name=name, draft=draft)
        places = [list(inputs.files)[each] for each in chosen_places(len(inputs.files))]
        answers = model.predict(
            np.concatenate([inputs[each : each + 1] for each in places]), batch_size=8, verbose=0
        )

        def check(folder: Path) -> None:
            check_files(folder, places, inputs.file, answers, reporter)
            pass_gate(folder, store, allowed=allowed, reporter=reporter)

        return draft.publish(manifest, check=check)


def _manifest(
    weights: Weights,
    inputs: ParityInputs,
    signature: Signature,
    parity: card.Parity,
    labels: tuple[str, ...],
    *,
    name: str,
    draft: Draft,
) -> card.Manifest:
    compared = f"Keras and ONNX Runtime were compared on {inputs.origin}."
    return card.Manifest(
        schema_version=1,
        name=name,
        version=draft.version,
        title=weights.network.title,
        description="What a photo shows, as one of ImageNet's 1,000 classes.",
        created=datetime.now(UTC).replace(microsecond=0),
        task="image_classification",
        inputs=signature.inputs,
        outputs=signature.outputs,
        image=inputs.preprocessing,
        labels=labels,
        top=TOP,
        metrics=weights.metrics.model_copy(update={"method": f"{weights.metrics.method} {compared}"}),
        training_data=(weights.origin, CLASS_INDEX.describe()),
        code_revision=code_revision(),
        parity=parity,
        files=draft.digests(),
    )
