"""Writes one small classifier as the installed Keras and TensorFlow do, in each kind of file that comes in.

    python -m testing.foreign_models.keras3 FOLDER

It tells the arguments of their imports, by kind, as JSON. All of them answer the same: four numbers in, probabilities
of three labels out.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
from keras import layers

SEED = 20


@dataclass(frozen=True)
class Foreign:
    """A file that can be imported, and the weights that an architecture needs."""

    file: Path
    weights: Path | None = None

    @property
    def arguments(self) -> list[str]:
        """Those of `models import`."""
        return [str(self.file), *(["--weights", str(self.weights)] if self.weights else [])]


def classifier(activation: str = "relu") -> keras.Model:
    """Weights are random from a fixed seed; with `celu`, for which tf2onnx has nothing, it does not export."""
    keras.utils.set_random_seed(SEED)
    rows = keras.Input((4,), name="rows")
    hidden = layers.Dense(5, activation=activation)(rows)
    return keras.Model(rows, layers.Dense(3, activation="softmax", name="kind")(hidden))


def of_rows_and_image() -> keras.Model:
    """Two inputs, which no task has but `tensors`."""
    keras.utils.set_random_seed(SEED)
    rows, image = keras.Input((4,), name="rows"), keras.Input((8, 8, 1), name="image")
    seen = layers.Flatten()(layers.Conv2D(3, 3, activation="relu")(image))
    joined = layers.Concatenate()([layers.Dense(3, activation="tanh")(rows), seen])
    return keras.Model([rows, image], layers.Dense(2, activation="softmax", name="kind")(joined))


def write_all(folder: Path) -> dict[str, Foreign]:
    """Write them into `folder`; what Keras has to run is called `keras_runner`, all others by their formats."""
    model = classifier()
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    (folder / "model.json").write_text(model.to_json())
    model.export(folder / "saved", verbose=False)
    classifier("celu").save(folder / "celu.keras")
    shutil.make_archive(str(folder / "saved"), "zip", folder, "saved")
    return {
        "keras": Foreign(folder / "model.keras"),
        "keras_hdf5": Foreign(folder / "model.h5"),
        "keras_json": Foreign(folder / "model.json", folder / "model.h5"),
        "savedmodel": Foreign(folder / "saved"),
        "savedmodel_zip": Foreign(folder / "saved.zip"),
        "keras_runner": Foreign(folder / "celu.keras"),
    }


if __name__ == "__main__":
    json.dump({kind: each.arguments for kind, each in write_all(Path(sys.argv[1])).items()}, sys.stdout)
