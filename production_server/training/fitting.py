"""Fits an image classifier to a training set, epoch by epoch, with a checkpoint after each."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from production_server.training.augmentation import training_batches
from production_server.training.checkpoint import Checkpoint, Epoch, load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from production_server.training.image_set import ImageSet
    from production_server.training.progress import Reporter
    from production_server.training.recipe import Recipe

EVALUATION_BATCH = 500


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras has no types
    """The learning rate of a recipe that takes `steps` steps in all."""

    def __init__(self, peak: float, *, warm_up: float, steps: int) -> None:
        self.peak, self.warm_up, self.steps = peak, warm_up, steps

    def __call__(self, step: Any) -> Any:
        done = tf.cast(step + 1, tf.float32) / self.steps
        rising = done / self.warm_up
        falling = 0.5 * (1.0 + tf.cos(math.pi * (done - self.warm_up) / (1.0 - self.warm_up)))
        return self.peak * tf.minimum(rising, tf.maximum(falling, 0.0))

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warm_up": self.warm_up, "steps": self.steps}


class _Steps(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Moves a progress bar on with each batch."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        super().__init__()
        self._advance = advance

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:  # noqa: ARG002  # Keras' signature
        self._advance(1)


def fit(
    model: keras.Model,
    train: ImageSet,
    validation: ImageSet,
    recipe: Recipe,
    *,
    path: Path,
    revision: str,
    reporter: Reporter,
) -> Checkpoint:
    """Fit `model` and leave in it the weights of the epoch with the best validation accuracy.

    Goes on from the checkpoint at `path` if there is one, and writes it after each epoch. Blocks until it is done.
    """
    _compile(model, len(train), recipe)
    checkpoint = load_checkpoint(path) or Checkpoint(revision)
    if checkpoint.history:
        _restore(model, checkpoint)
        reporter.say(f"Going on after epoch {len(checkpoint.history)} of {recipe.epochs}: {path}")
    steps = len(train) // recipe.batch_for(len(train))
    done = steps * len(checkpoint.history)
    with reporter.steps("Training", steps * recipe.epochs, done=done) as advance:
        for index in range(len(checkpoint.history), recipe.epochs):
            epoch = _run_epoch(model, train, validation, recipe, index=index, callback=_Steps(advance))
            _record(checkpoint, epoch, model)
            save_checkpoint(checkpoint, path)
            reporter.say(_describe(epoch, index + 1, recipe.epochs))
    model.set_weights(checkpoint.best_weights)
    return checkpoint


def _compile(model: keras.Model, images: int, recipe: Recipe) -> None:
    batch = recipe.batch_for(images)
    peak = recipe.peak_learning_rate * batch / 128
    schedule = OneCycle(peak, warm_up=recipe.warm_up, steps=images // batch * recipe.epochs)
    optimizer = keras.optimizers.SGD(
        schedule, momentum=recipe.momentum, nesterov=True, weight_decay=recipe.weight_decay
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing)
    model.compile(optimizer, loss, metrics=["accuracy"])
    optimizer.build(model.trainable_variables)


def _run_epoch(
    model: keras.Model, train: ImageSet, validation: ImageSet, recipe: Recipe, *, index: int, callback: _Steps
) -> Epoch:
    wall, cpu = time.monotonic(), time.process_time()
    batches = training_batches(
        train,
        model.output_shape[-1],
        recipe.augmentation,
        batch=recipe.batch_for(len(train)),
        key=(recipe.seed, index),
    )
    seen = model.fit(
        batches, initial_epoch=index, epochs=index + 1, shuffle=False, verbose=0, callbacks=[callback]
    ).history
    loss, accuracy = evaluate(model, validation)
    return Epoch(
        loss=seen["loss"][0], accuracy=seen["accuracy"][0], validation_loss=loss, validation_accuracy=accuracy,
        wall_s=time.monotonic() - wall, cpu_s=time.process_time() - cpu,
    )  # fmt: skip


def evaluate(model: keras.Model, images: ImageSet) -> tuple[float, float]:
    """Return (cross entropy in nats, accuracy) of `model` on unchanged images."""
    probabilities = model.predict(images.scaled(), batch_size=EVALUATION_BATCH, verbose=0).astype(np.float64)
    of_truth = probabilities[np.arange(len(images)), images.classes]
    accuracy = np.mean(probabilities.argmax(axis=1) == images.classes)
    return float(-np.log(np.maximum(of_truth, 1e-12)).mean()), float(accuracy)


def _record(checkpoint: Checkpoint, epoch: Epoch, model: keras.Model) -> None:
    best = max((seen.validation_accuracy for seen in checkpoint.history), default=-1.0)
    checkpoint.history.append(epoch)
    checkpoint.weights = model.get_weights()
    checkpoint.optimizer = [np.asarray(variable) for variable in model.optimizer.variables]
    if epoch.validation_accuracy >= best:
        checkpoint.best_epoch = len(checkpoint.history) - 1
        checkpoint.best_weights = checkpoint.weights


def _restore(model: keras.Model, checkpoint: Checkpoint) -> None:
    model.set_weights(checkpoint.weights)
    for variable, value in zip(model.optimizer.variables, checkpoint.optimizer, strict=True):
        variable.assign(value)


def _describe(epoch: Epoch, number: int, epochs: int) -> str:
    return (
        f"epoch {number:3}/{epochs}  loss {epoch.loss:.4f}  accuracy {epoch.accuracy:.4f}  "
        f"validation loss {epoch.validation_loss:.4f}  accuracy {epoch.validation_accuracy:.4f}  {epoch.wall_s:.0f} s"
    )
