"""MobileNet weights: those that Keras publishes, and a file of the user's, which is hostile until it was checked.

Howard et al., "MobileNets" (https://arxiv.org/abs/1704.04861); Sandler et al., "MobileNetV2"
(https://arxiv.org/abs/1801.04381).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from production_server.models.manifest import Dataset, ImagePreprocessing, Metric, Metrics
from production_server.training.datasets import Source, obtain
from production_server.training.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from production_server.training.progress import Reporter

Variant = Literal["mobilenet", "mobilenet_v2"]
PREPROCESSING = ImagePreprocessing(mode="RGB", width=224, height=224, scale=1 / 127.5, offset=-1.0)
"""What the networks of both papers take, as Keras trained them: pixels from -1 to 1."""
MOST_BYTES = 200_000_000
"""Of the file, and of all the numbers that it declares: a few compressed bytes may stand for gigabytes."""
SUFFIXES = (".h5", ".hdf5")

MOBILENET_V2 = Source(
    folder="models",
    file="mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5",
    url="https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5",
    sha256="3e195a2857356cfc092cbbb460beb2a5bce279015d7792598b8d3d9e451902e3",
    title="MobileNetV2 1.0 at 224×224 pixels, Keras' weights for ImageNet",
    licence="Apache-2.0",
)


UNMEASURED = Metrics(data="nothing", method="How good these weights are was not measured.", values={})
KNOWN = {
    "dc1ff623e6cd99c3cc0dd2821ca0807ba013606af5a4e2afd4488fbf26a8b589": (
        "MobileNet 0.25 at 224×224 pixels, Keras' weights for ImageNet",
        "Apache-2.0",
        Metrics(
            data="1,000 sample images of ImageNet",
            method="Found by Keras when these weights were chosen for this project's tests, not measured here.",
            values={"accuracy": Metric(mean=0.537), "top_5_accuracy": Metric(mean=0.778)},
        ),
    )
}
"""Files that somebody may bring and of which more is known than their SHA-256: title, licence, accuracy."""


@dataclass(frozen=True)
class Network:
    """Which of the networks weights are for, and how wide it is (`alpha` in the papers)."""

    variant: Variant = "mobilenet_v2"
    alpha: float = 1.0

    @property
    def title(self) -> str:
        name = {"mobilenet": "MobileNet", "mobilenet_v2": "MobileNetV2"}[self.variant]
        return name if self.alpha == 1.0 else f"{name} {self.alpha:g}"


@dataclass(frozen=True)
class Weights:
    """A checked file of weights, and what is known of them."""

    path: Path
    network: Network
    origin: Dataset
    metrics: Metrics


def published_weights(reporter: Reporter) -> Weights:
    """Keras' MobileNetV2: from MODEL_DATA_DIR, the cache, or downloaded.

    Raises:
        TrainingError: the file cannot be had, or is another one.
    """
    path = obtain(MOBILENET_V2, reporter)
    measured = Metrics(
        data="ImageNet's validation images",
        method="Published by Keras for these weights (https://keras.io/api/applications/), not measured here.",
        values={"accuracy": Metric(mean=0.713), "top_5_accuracy": Metric(mean=0.901)},
    )
    return Weights(path, Network(), MOBILENET_V2.describe(), measured)


def own_weights(path: Path, network: Network) -> Weights:
    """A file of the user's: nobody has pinned it, and mostly nothing is known of it but its digest.

    Raises:
        DataError: it is no HDF5 file, or too large.
    """
    _check(path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    unknown = (f"Weights from the file {path.name}", "not stated", UNMEASURED)
    title, licence, metrics = KNOWN.get(sha256, unknown)
    return Weights(path, network, Dataset(name=title, url="", sha256=sha256, licence=licence), metrics)


def load_into(model: keras.Model, weights: Weights) -> None:
    """Read the weights, and nothing else that the file may hold, into a model of their network.

    Raises:
        DataError: they are those of another network, or of this one in another width or without its last layers.
    """
    try:
        model.load_weights(weights.path)
    # The errors of Keras, h5py and TensorFlow share no base class below Exception.
    except Exception as exc:
        reason = " ".join(str(exc).split())[:200]
        raise DataError(f"{weights.path} does not fit {weights.network.title}: {reason}") from exc


def _check(path: Path) -> None:
    """Refuse what cannot be weights before any of it is read into memory."""
    import h5py

    if not path.name.endswith(SUFFIXES):
        raise DataError(
            f"{path}: expected a file of weights in HDF5, whose name ends in {' or '.join(SUFFIXES)}"
        )
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path}: larger than {MOST_BYTES // 1_000_000} MB")
    sizes: list[int] = []
    try:
        with h5py.File(path, "r") as file:
            file.visititems(lambda _, found: sizes.append(getattr(found, "nbytes", 0)))
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as exc:
        raise DataError(f"{path} is not an HDF5 file that can be read") from exc
    if sum(sizes) > MOST_BYTES:
        raise DataError(f"{path}: its numbers would take more than {MOST_BYTES // 1_000_000} MB")
