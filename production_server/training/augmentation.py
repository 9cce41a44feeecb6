"""Random changes of training images, as a handful of operations on the whole batch.

Flip, shift, and random erasing (Zhong et al., https://arxiv.org/abs/1708.04896). Keras' Random* layers do the same at a
fraction of the speed. The changes depend on (seed, epoch, step) alone, so a resumed training sees what an uninterrupted
one would have seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from production_server.training.image_set import ImageSet
    from production_server.training.recipe import Augmentation

Tensor = Any


def training_batches(
    images: ImageSet, classes: int, augmentation: Augmentation, *, batch: int, key: tuple[int, int]
) -> Any:
    """The shuffled, changed batches of one epoch: (float32 [batch, h, w, c] in 0..1, one-hot float32 [batch, classes]).

    `key` is (seed, epoch). The last images that do not fill a batch are left out of this epoch.
    """
    order = np.random.default_rng(key).permutation(len(images))
    steps = len(images) // batch
    order = order[: steps * batch].reshape(steps, batch)
    pixels, labels = tf.constant(images.images), tf.constant(images.classes)
    seed = int(np.random.SeedSequence(key).generate_state(1)[0] >> 1)

    def load(indices: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        x = tf.cast(tf.gather(pixels, indices), tf.float32) / 255.0
        return augment(x, augmentation, seed=tf.stack([step, seed])), tf.one_hot(
            tf.gather(labels, indices), classes
        )

    numbers = np.arange(steps, dtype=np.int32)
    batches = tf.data.Dataset.from_tensor_slices((order, numbers)).map(load, num_parallel_calls=2)
    return batches.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(4)


def augment(x: Tensor, augmentation: Augmentation, *, seed: Tensor) -> Tensor:
    """Change each image of a float32 batch [n, h, w, c] at random; `seed` is an int32 [2]."""
    uniform = tf.random.stateless_uniform((9, tf.shape(x)[0]), seed)
    if augmentation.flip:
        x = tf.where(uniform[0][:, None, None, None] < 0.5, x, x[:, :, ::-1])
    reach = max(1, round(augmentation.shift * min(x.shape[1:3])))
    x = _shift(x, reach, uniform[1], axis=1)
    x = _shift(x, reach, uniform[2], axis=2)
    return _erase(x, augmentation, uniform[3:])


def _shift(x: Tensor, reach: int, uniform: Tensor, *, axis: int) -> Tensor:
    size = x.shape[axis]
    pads = [[reach, reach] if index == axis else [0, 0] for index in range(4)]
    start = tf.cast(uniform * (2 * reach + 1), tf.int32)
    return tf.gather(tf.pad(x, pads), start[:, None] + tf.range(size), batch_dims=1, axis=axis)


def _erase(x: Tensor, augmentation: Augmentation, uniform: Tensor) -> Tensor:
    """Fill a random rectangle with one random grey, in a random part of the images."""
    height, width = x.shape[1:3]
    least, most = augmentation.erase_area
    area = (least + uniform[0] * (most - least)) * height * width
    aspect = tf.exp(2.0 * uniform[1] - 1.0)
    rows = _is_within(height, uniform[2], tf.sqrt(area * aspect))
    columns = _is_within(width, uniform[3], tf.sqrt(area / aspect))
    chosen = uniform[4] < augmentation.erase_probability
    mask = rows[:, :, None] & columns[:, None, :] & chosen[:, None, None]
    return tf.where(mask[..., None], uniform[5][:, None, None, None], x)


def _is_within(size: int, centre: Tensor, extent: Tensor) -> Tensor:
    pixels = tf.range(size, dtype=tf.float32) + 0.5
    return tf.abs(pixels - centre[:, None] * size) < extent[:, None] / 2
