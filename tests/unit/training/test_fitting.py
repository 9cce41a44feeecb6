from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
import tensorflow as tf

from production_server.training.architecture import build_classifier, multiply_accumulates
from production_server.training.augmentation import augment, training_batches
from production_server.training.checkpoint import load_checkpoint
from production_server.training.fitting import OneCycle, fit
from production_server.training.image_set import ImageSet
from production_server.training.recipe import Augmentation, Recipe
from tests.unit.training.conftest import Transcript

if TYPE_CHECKING:
    from pathlib import Path

    from production_server.training.checkpoint import Checkpoint

pytestmark = [
    pytest.mark.training,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # inside Keras, TensorFlow and tf2onnx
]

RECIPE = Recipe(epochs=2, batch=16, peak_learning_rate=0.02)


def toys(count: int, *, seed: int) -> ImageSet:
    """Dark and light noise, 12x12."""
    generator = np.random.default_rng(seed)
    classes = (np.arange(count) % 2).astype(np.int32)
    images = generator.integers(0, 80, (count, 12, 12, 1)) + 120 * classes[:, None, None, None]
    return ImageSet(images.astype(np.uint8), classes)


class Interrupting(Transcript):
    """Ends the training after its first epoch, as Ctrl-C does."""

    def say(self, line: str) -> None:
        super().say(line)
        if line.startswith("epoch   1"):
            raise KeyboardInterrupt


def run(path: Path, reporter: Transcript) -> Checkpoint:
    keras.utils.set_random_seed(3)
    model = build_classifier((12, 12, 1), 2, is_for_training=True)
    return fit(
        model, toys(64, seed=1), toys(16, seed=2), RECIPE, path=path, revision="abc", reporter=reporter
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    state = run(folder / "whole.npz", Transcript())
    assert [path.name for path in folder.iterdir()] == ["whole.npz"]
    return state


def test_an_interrupted_training_goes_on_and_ends_like_one_that_was_not(
    whole: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken.npz", Interrupting())
    half = load_checkpoint(tmp_path / "broken.npz")
    transcript = Transcript()

    resumed = run(tmp_path / "broken.npz", transcript)

    assert half is not None
    assert len(half.history) == 1
    assert "Going on after epoch 1 of 2" in transcript.text
    assert "epoch   1/2" not in transcript.text
    assert len(resumed.history) == len(whole.history) == 2
    for one, other in zip(resumed.weights, whole.weights, strict=True):
        assert np.allclose(one, other, atol=1e-3)


def test_the_best_epoch_is_kept_whatever_comes_after_it(whole: Checkpoint) -> None:
    accuracies = [epoch.validation_accuracy for epoch in whole.history]

    assert accuracies[whole.best_epoch] == max(accuracies)
    assert all(epoch.wall_s > 0 for epoch in whole.history)


def test_a_training_model_and_a_served_model_give_the_same_answers() -> None:
    keras.utils.set_random_seed(3)
    fused = build_classifier((12, 12, 1), 2, is_for_training=True)
    fused.set_weights([value + 0.1 for value in fused.get_weights()])
    served = build_classifier((12, 12, 1), 2)
    served.set_weights(fused.get_weights())
    images = toys(8, seed=1).scaled()

    assert np.allclose(fused(images), served(images), atol=1e-5)


def test_fused_normalization_learns_the_statistics_that_keras_own_layer_learns() -> None:
    from production_server.training.fused_normalization import FusedBatchNormalization

    images = tf.random.stateless_normal((64, 8, 8, 3), (1, 2), mean=2.0, stddev=3.0)
    fused, plain = FusedBatchNormalization(momentum=0.5), keras.layers.BatchNormalization(momentum=0.5)

    assert np.allclose(fused(images, training=True), plain(images, training=True), atol=1e-3)
    for one, other in zip(fused.get_weights(), plain.get_weights(), strict=True):
        assert np.allclose(one, other, rtol=1e-3)


@pytest.mark.parametrize("shape", [(28, 28, 1), (40, 40, 3), (96, 96, 3)])
def test_the_network_adapts_to_size_channels_and_classes(shape: tuple[int, int, int]) -> None:
    model = build_classifier(shape, 7)

    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, 7)


def test_the_network_for_fashion_mnist_stays_small_and_quick() -> None:
    model = build_classifier((28, 28, 1), 10)

    assert model.count_params() <= 1_400_000
    assert multiply_accumulates(model) <= 40_000_000


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    schedule = OneCycle(0.4, warm_up=0.2, steps=100)

    rates = [float(schedule(step)) for step in range(100)]

    assert max(rates) == pytest.approx(0.4)
    assert rates.index(max(rates)) == 19
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_an_epoch_depends_on_its_key_alone_and_shuffles_every_image_once() -> None:
    images = ImageSet(
        np.arange(64, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8),
        np.arange(64, dtype=np.int32),
    )

    def labels(key: tuple[int, int]) -> list[int]:
        batches = training_batches(images, 64, Augmentation(), batch=16, key=key)
        return [int(label) for _, part in batches for label in np.argmax(part, axis=1)]

    assert sorted(labels((1, 0))) == list(range(64))
    assert labels((1, 0)) == labels((1, 0))
    assert labels((1, 0)) != labels((1, 1))


def test_augmented_images_differ_from_step_to_step_and_stay_between_zero_and_one() -> None:
    images = tf.constant(toys(32, seed=1).scaled())

    first, again, second = (
        augment(images, Augmentation(), seed=tf.constant([step, 9])).numpy() for step in (1, 1, 2)
    )

    assert first.shape == images.shape
    assert 0 <= first.min() < first.max() <= 1
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)


def test_without_flip_and_erasing_an_image_is_only_shifted() -> None:
    images = np.zeros((50, 20, 20, 1), np.float32)
    images[:, 8, 11] = 1
    quiet = Augmentation(flip=False, shift=0.1, erase_probability=0)

    moved = augment(tf.constant(images), quiet, seed=tf.constant([1, 2])).numpy()

    _, rows, columns, _ = np.nonzero(moved)
    assert len(rows) == 50
    assert set(rows) == {6, 7, 8, 9, 10}
    assert set(columns) == {9, 10, 11, 12, 13}
