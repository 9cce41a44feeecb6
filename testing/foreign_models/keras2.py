"""Writes small models as Keras 2 writes them, and what Keras 2 itself answers: tests/data/models/keras.

    python -m venv /tmp/keras2 && /tmp/keras2/bin/pip install tf_keras==2.21.0 tensorflow-cpu==2.21.0 h5py==3.14.0
    /tmp/keras2/bin/python testing/foreign_models/keras2.py tests/data/models/keras

`tf_keras` is Keras 2 as it goes on beside Keras 3. Weights are random from a fixed seed: what matters is that they are
read to where they belong, so nothing is left at its initial value, batch normalisation's averages neither.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras  # type: ignore[import-not-found]  # in an environment of its own
from tf_keras import layers

SEED = 20
ITEMS = 5


def mlp() -> keras.Model:
    return keras.Sequential(
        [
            layers.Dense(6, activation="relu", input_shape=(8,)),
            layers.BatchNormalization(),
            layers.LeakyReLU(alpha=0.1),
            layers.Dropout(0.2),
            layers.Dense(4, activation="hard_sigmoid", kernel_regularizer="l2"),
            layers.Dense(3, activation="softmax"),
        ]
    )


def cnn() -> keras.Model:
    image = layers.Input((12, 12, 3), name="image")
    found = layers.ZeroPadding2D(((0, 1), (0, 1)))(image)
    found = layers.Conv2D(4, 3, strides=2, use_bias=False, name="stem/conv")(found)
    found = layers.BatchNormalization(name="stem/bn")(found)
    found = layers.ReLU(6.0)(found)
    found = layers.DepthwiseConv2D(3, padding="same")(found)
    found = layers.SeparableConv2D(5, 3, activation=layers.LeakyReLU(alpha=0.2))(found)
    found = layers.Conv2DTranspose(3, 3, strides=2, padding="same")(found)
    found = layers.GlobalAveragePooling2D()(found)
    return keras.Model(image, layers.Dense(4, activation="softmax", name="kind")(found))


def recurrent() -> keras.Model:
    words = layers.Input((7,), dtype="int32", name="words")
    found = layers.Embedding(11, 4, mask_zero=False)(words)
    found = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(found)
    found = layers.GRU(4, return_sequences=True, recurrent_activation="hard_sigmoid")(found)
    found = layers.GRU(3, reset_after=False, return_sequences=True)(found)
    found = layers.TimeDistributed(layers.Dense(3, activation="tanh"))(found)
    found = layers.SimpleRNN(3)(found)
    return keras.Model(words, layers.Dense(1, activation="sigmoid", name="score")(found))


def two_inputs() -> keras.Model:
    rows = layers.Input((5,), name="rows")
    image = layers.Input((8, 8, 1), name="image")
    seen = layers.Flatten()(layers.Conv2D(2, 3, activation="swish")(image))
    both = layers.Concatenate()([layers.Dense(4)(rows), seen])
    shared = layers.Dense(4, activation="tanh")
    kind = layers.Dense(3, activation="softmax", name="kind")(layers.Add()([shared(both), shared(both)]))
    value = layers.Dense(1, name="value")(both)
    return keras.Model([rows, image], [kind, value])


def nested() -> keras.Model:
    """A frozen base within a model, as transfer learning makes them, and one model that is called twice."""
    base = keras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(4),
            layers.BatchNormalization(),
            layers.Dense(4),
            layers.BatchNormalization(),
        ]
    )
    base.trainable = False
    tower = keras.Model(inside := layers.Input((4,)), layers.Dense(3, activation="elu")(inside), name="tower")
    left, right = layers.Input((6,), name="left"), layers.Input((6,), name="right")
    apart = layers.Subtract()([tower(base(left)), tower(layers.Dense(4)(right))])
    return keras.Model([left, right], layers.Dense(2, activation="softmax")(apart))


def operations() -> keras.Model:
    rows = layers.Input((6,), name="rows")
    found = layers.Dense(6)(rows)
    found = layers.ReLU(6.0)(found + 3.0) * (1 / 6) * found
    found = 1.0 - found / 2.0
    return keras.Model(rows, layers.Dense(2)(found - rows))


def attention() -> keras.Model:
    rows = layers.Input((5, 6), name="rows")
    found = layers.MultiHeadAttention(num_heads=2, key_dim=3)(rows, rows)
    found = layers.LayerNormalization()(found + rows)
    found = layers.Attention()([found, rows])
    return keras.Model(rows, layers.Dense(2)(layers.GlobalMaxPooling1D()(found)))


def normalized() -> keras.Model:
    scale = layers.Normalization()
    scale.adapt(np.random.default_rng(1).normal(3, 2, (50, 4)).astype("float32"))
    return keras.Sequential(
        [layers.Input((4,)), scale, layers.Rescaling(0.5, 0.1), layers.Dense(2, activation="softmax")]
    )


MODELS = (mlp, cnn, recurrent, two_inputs, nested, operations, attention, normalized)


def write(make: object, folder: Path) -> None:
    keras.backend.clear_session()
    keras.utils.set_random_seed(SEED)
    random = np.random.default_rng(SEED)
    model = make()  # type: ignore[operator]
    if make is not normalized:
        model.set_weights(
            [
                random.uniform(0.1, 0.9, each.shape) - (0.5 if "variance" not in name else 0)
                for each, name in zip(model.get_weights(), [w.name for w in model.weights], strict=True)
            ]
        )
    model.compile(loss="mse", optimizer="adam")
    name = make.__name__  # type: ignore[attr-defined]
    model.save(folder / f"{name}.h5", include_optimizer=True)
    model.save(folder / f"{name}.keras")
    given = {
        each.name: random.integers(0, 9, (ITEMS, *each.shape[1:])).astype("int32")
        if each.dtype == "int32"
        else random.normal(size=(ITEMS, *each.shape[1:])).astype("float32")
        for each in model.inputs
    }
    answers = model(
        [given[each.name] for each in model.inputs] if len(given) > 1 else next(iter(given.values()))
    )
    found = answers if isinstance(answers, list) else [answers]
    arrays: dict[str, Any] = {f"in_{index}": each for index, each in enumerate(given.values())}
    arrays |= {f"out_{index}": each.numpy() for index, each in enumerate(found)}
    np.savez(folder / f"{name}.npz", **arrays)
    if make is mlp:
        (folder / "mlp.json").write_text(model.to_json())
        model.save_weights(folder / "mlp_weights.h5")


if __name__ == "__main__":
    for each in MODELS:
        write(each, Path(sys.argv[1]))
