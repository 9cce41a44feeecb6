"""The diabetes network: raw clinical values in, probabilities out; missing values and scaling are part of its graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import layers, ops

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

CAN_BE_MISSING = np.array([0, 1, 1, 1, 1, 1, 0, 0], np.float32)
"""1 for the columns in which a zero stands for a value that was not measured."""


@dataclass(frozen=True)
class Settings:
    """The size of the network and how it is fitted."""

    members: int = 8
    """Small networks that are fitted side by side on the same rows; the answer is the mean of theirs."""
    hidden: int = 16
    penalty: float = 1e-3
    """L2, on all kernels."""
    dropout: float = 0.3
    epochs: int = 40
    batch: int = 32
    learning_rate: float = 0.005


def fit_network(rows: Floats, outcome: NDArray[np.int32], settings: Settings, *, seed: int) -> keras.Model:
    """Fit to rows float32 [n, 8] as clients write them; the model gives probabilities [n, 2].

    All constants (mean and deviation of the measured values) come from these rows.
    """
    keras.utils.set_random_seed(seed)
    members, served = _build(*_moments(rows), settings)
    steps = settings.epochs * -(-len(rows) // settings.batch)
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
    members.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    target = np.repeat(outcome.astype(np.float32)[:, None], settings.members, axis=1)
    members.fit(rows, target, epochs=settings.epochs, batch_size=settings.batch, verbose=0)
    return served


def _moments(rows: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each column over the values that were measured."""
    is_missing = (rows == 0) & (CAN_BE_MISSING == 1)
    measured = np.ma.masked_array(rows.astype(np.float64), is_missing)
    return measured.mean(axis=0).data.astype(np.float32), measured.std(axis=0).data.astype(np.float32)


def _build(mean: Floats, deviation: Floats, settings: Settings) -> tuple[keras.Model, keras.Model]:
    """Build (the members' own probabilities [n, members], for fitting) and (the served [n, 2]); they share weights.

    A missing value becomes the mean of the measured ones, which is zero after scaling, and is told to the network.
    """
    penalty = keras.regularizers.L2(settings.penalty)
    features = keras.Input((len(mean),), name="features")
    missing = ops.multiply(ops.cast(ops.equal(features, 0.0), "float32"), CAN_BE_MISSING)
    # plain arithmetic: the ONNX export turns the constants of a Normalization layer into inputs of the graph
    scaled = ops.divide(ops.subtract(features, mean), deviation)
    x = layers.Concatenate()([ops.multiply(scaled, ops.subtract(1.0, missing)), missing])
    x = layers.Dense(settings.members * settings.hidden, activation="tanh", kernel_regularizer=penalty)(x)
    x = layers.Reshape((settings.members, settings.hidden))(layers.Dropout(settings.dropout)(x))
    x = layers.EinsumDense(
        "nmh,mh->nm", output_shape=settings.members, bias_axes="m", kernel_regularizer=penalty
    )(x)
    each = layers.Activation("sigmoid")(x)
    positive = ops.mean(each, axis=1, keepdims=True)
    both = layers.Concatenate(name="probabilities")([ops.subtract(1.0, positive), positive])
    return keras.Model(features, each), keras.Model(features, both, name="diabetes")
