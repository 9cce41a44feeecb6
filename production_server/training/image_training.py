"""Use case: labelled images in, a published version of a classifier out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import keras
import numpy as np

from production_server.models import manifest as card
from production_server.models.drafts import draft_version
from production_server.models.importing.keras_export import Signature
from production_server.models.importing.sample import HeldOut
from production_server.training import metrics, plots
from production_server.training.architecture import STAGES, build_classifier, multiply_accumulates
from production_server.training.datasets import cache_directory
from production_server.training.export import FEWEST_INPUTS, declare, export_model
from production_server.training.fitting import EVALUATION_BATCH, fit
from production_server.training.gate_check import pass_gate
from production_server.training.revision import code_revision
from production_server.training.serving_check import check_files, chosen_places

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from production_server.learning.report import CheckName
    from production_server.training.checkpoint import Checkpoint
    from production_server.training.description import Description
    from production_server.training.image_set import ImageSet, Split
    from production_server.training.progress import Reporter
    from production_server.training.recipe import Recipe

PARITY_INPUTS = 5000
COMPARED_IMAGES = 2000


def train_images(
    description: Description,
    split: Split,
    recipe: Recipe,
    *,
    store: Path,
    dtype: str,
    reporter: Reporter,
    allowed: Collection[CheckName] = (),
) -> Path:
    """Fit, export, measure and publish; returns the new version's folder.

    Every choice is made on the validation images; the test images are looked at once, after the export.

    Raises:
        ExportError: the exported model is not the trained one, a server answers held-out files otherwise than it, or
            the store cannot be written.
        GateClosed: it fails a check of the gate that is not `allowed`; the same training goes on from its end then.
    """
    reporter.say(f"{len(split.test)} images to test on")
    path = checkpoint_path(description, split.train, recipe, dtype=dtype)
    fitted = fit_images(description, split.train, split.validation, recipe, dtype=dtype, reporter=reporter)
    folder = publish(description, fitted, split, recipe, store=store, reporter=reporter, allowed=allowed)
    path.unlink(missing_ok=True)
    return folder


@dataclass(frozen=True)
class Fitted:
    """A network with the weights of its best epoch, and how they came about."""

    state: Checkpoint
    model: keras.Model
    signature: Signature

    def export(self, folder: Path, inputs: NDArray[np.float32]) -> card.Parity:
        """Write model.keras and model.onnx into a folder, and tell how far their answers to real inputs are apart.

        Raises:
            ExportError: they are not the same.
        """
        fewest = min(FEWEST_INPUTS, len(inputs))
        return export_model(self.model, folder, self.signature, inputs, fewest=fewest)


def fit_images(
    description: Description,
    train: ImageSet,
    validation: ImageSet,
    recipe: Recipe,
    *,
    dtype: str,
    reporter: Reporter,
) -> Fitted:
    """Fit a classifier, or go on where the same training was interrupted."""
    path = checkpoint_path(description, train, recipe, dtype=dtype)
    keras.utils.set_random_seed(recipe.seed)
    shape, classes = train.images.shape[1:], len(description.labels)
    model = build_classifier(shape, classes, is_for_training=True, dtype=dtype)
    reporter.say(
        f"{len(train)} training and {len(validation)} validation images; "
        f"{model.count_params():,} parameters, {multiply_accumulates(model) / 1e6:.1f} M multiply-accumulates; {dtype}"
    )
    state = fit(model, train, validation, recipe, path=path, revision=code_revision(), reporter=reporter)
    fitted = build_classifier(shape, classes)
    fitted.set_weights(state.best_weights)
    return Fitted(state, fitted, declare(fitted, "image"))


def checkpoint_path(description: Description, train: ImageSet, recipe: Recipe, *, dtype: str) -> Path:
    """Where this very training keeps its state: other data or another recipe never goes on from it."""
    digest = hashlib.sha256(repr((description.labels, recipe, STAGES, dtype, train.images.shape)).encode())
    digest.update(np.ascontiguousarray(train.images).data)
    digest.update(np.ascontiguousarray(train.classes).data)
    return cache_directory() / "checkpoints" / f"{description.name}-{digest.hexdigest()[:16]}.npz"


def publish(
    description: Description,
    fitted: Fitted,
    split: Split,
    recipe: Recipe,
    *,
    store: Path,
    reporter: Reporter,
    allowed: Collection[CheckName],
) -> Path:
    """Write the best epoch of a training as the next version in `store`."""
    state = fitted.state
    with draft_version(store, description.name) as draft:
        reporter.say(f"Exporting {description.name} version {draft.version}")
        parity = fitted.export(draft.folder, _parity_inputs(split))
        plots.draw_learning_curves(
            state.history, draft.folder / "plots/learning_curves.svg", chosen=state.best_epoch
        )
        answers = fitted.model.predict(split.test.scaled(), batch_size=EVALUATION_BATCH, verbose=0)
        values = _measure(
            answers, split.test, description.labels, draft.folder / "plots/confusion_matrix.svg"
        )
        values["validation_accuracy"] = state.history[state.best_epoch].validation_accuracy
        for name, value in values.items():
            reporter.say(f"{name}: {value:.4f}")
        measured = card.Metrics(
            data=description.data,
            method=_method(state, recipe),
            values={name: card.Metric(mean=value) for name, value in values.items()},
        )
        manifest = _manifest(
            description, fitted.signature, draft.version, measured, parity, state.revision, draft.digests()
        )
        places = chosen_places(len(split.test))

        def check(folder: Path) -> None:
            check_files(folder, places, split.test.file, answers[places], reporter)
            held_out = _held_out(split.test, description.labels)
            pass_gate(folder, store, held_out=held_out, allowed=allowed, reporter=reporter)

        return draft.publish(manifest, check=check)


def _held_out(test: ImageSet, labels: tuple[str, ...]) -> HeldOut:
    """Images that no weight was learnt from; of the version before, too, where data and seed are the same."""
    chosen = test.take(np.linspace(0, len(test) - 1, min(len(test), COMPARED_IMAGES)).astype(np.int64))
    return HeldOut({"image": chosen.scaled()}, tuple(labels[each] for each in chosen.classes))


def _parity_inputs(split: Split) -> NDArray[np.float32]:
    images = np.concatenate([split.validation.images, split.test.images, split.train.images[:PARITY_INPUTS]])
    return images[:PARITY_INPUTS].astype(np.float32) * np.float32(1 / 255)


def _measure(
    probabilities: NDArray[np.float32], test: ImageSet, labels: tuple[str, ...], plot: Path
) -> dict[str, float]:
    table = metrics.confusion(test.classes, probabilities.argmax(axis=1), len(labels))
    plots.draw_confusion(table, labels, plot)
    return {
        "accuracy": metrics.accuracy(test.classes, probabilities),
        "macro_f1": metrics.macro_f1(table),
        "cross_entropy": metrics.cross_entropy(test.classes, probabilities),
    }


def _method(state: Checkpoint, recipe: Recipe) -> str:
    minutes = sum(epoch.wall_s for epoch in state.history) / 60
    return (
        f"Single model, no test-time averaging. {recipe.epochs} epochs, seed {recipe.seed}, {minutes:.0f} minutes; "
        f"epoch {state.best_epoch + 1} chosen by validation accuracy on images held out of the training set; "
        "the test images were used once."
    )


def _manifest(
    description: Description,
    signature: Signature,
    version: str,
    measured: card.Metrics,
    parity: card.Parity,
    revision: str,
    files: dict[str, card.FileDigest],
) -> card.Manifest:
    return card.Manifest(
        schema_version=1,
        name=description.name,
        version=version,
        title=description.title,
        description=description.text,
        created=datetime.now(UTC).replace(microsecond=0),
        task="image_classification",
        inputs=signature.inputs,
        outputs=signature.outputs,
        image=description.image,
        labels=description.labels,
        metrics=measured,
        training_data=description.training_data,
        code_revision=revision,
        parity=parity,
        files=files,
    )
