"""What is asked of the built-in models when interactive calls are measured, and what must be answered."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.session import session
from production_server.models.registry import Registry
from production_server.settings import BUILT_IN_MODEL_STORE

MODELS = ("diabetes", "fashion_mnist")
ROW = [6, 148, 72, 35, 0, 33.6, 0.627, 50]


def example(model: str) -> np.ndarray:
    """One item as the graph takes it, in a batch of one: a patient, or an image with something in its middle.

    About half of the image is background, as in Fashion-MNIST; that counts where numbers travel as text.
    """
    if model == "diabetes":
        return np.array([ROW], np.float32)
    image = np.zeros((1, 28, 28, 1), np.float32)
    image[:, 1:27, 6:21] = np.random.default_rng(1).integers(1, 256, (1, 26, 15, 1)) / 255
    return image


def nested(model: str) -> list[Any]:
    """The same item, as numbers in lists: the shortest text from which the same float32 can be read."""
    item: list[Any] = orjson.loads(orjson.dumps(example(model)[0], option=orjson.OPT_SERIALIZE_NUMPY))
    return item


def flat(model: str) -> list[float]:
    """The same numbers in one list."""
    numbers: list[float] = orjson.loads(
        orjson.dumps(example(model).ravel(), option=orjson.OPT_SERIALIZE_NUMPY)
    )
    return numbers


def model_file(model: str, store: Path | None = None) -> Path:
    """The ONNX file that everyone serves: of the newest version, in that store or built in."""
    return (
        Registry([BUILT_IN_MODEL_STORE, *([store] if store else [])])
        .resolve(model)
        .verified_file("model.onnx")
    )


@functools.cache
def expected(file: Path, model: str) -> tuple[float, ...]:
    """The probabilities that the engine alone answers for the model's example."""
    alone = session(file)
    (output,) = alone.run(None, {alone.get_inputs()[0].name: example(model)})
    return tuple(float(value) for value in output[0])
