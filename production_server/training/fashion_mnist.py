"""The built-in image model: ten kinds of clothes, after Fashion-MNIST (https://arxiv.org/abs/1708.07747)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from production_server.models.manifest import ImagePreprocessing
from production_server.training.datasets import FASHION_MNIST, load_fashion_mnist
from production_server.training.description import Description
from production_server.training.image_set import Split, hold_out

if TYPE_CHECKING:
    from production_server.training.progress import Reporter

NAME = "fashion_mnist"
LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
EPOCHS = 44
VALIDATION_IMAGES = 5000


def describe(name: str = NAME) -> Description:
    """What the manifest says of the model, apart from what the training finds out."""
    return Description(
        name=name,
        title="Fashion-MNIST",
        text="Ten kinds of clothes, from 28x28 grey images: light clothes on a black background.",
        labels=LABELS,
        data="Fashion-MNIST, the official 10,000 test images",
        training_data=tuple(source.describe() for source in FASHION_MNIST.values()),
        image=ImagePreprocessing(mode="L", width=28, height=28, scale=1 / 255, invert="auto"),
    )


def load_split(seed: int, reporter: Reporter) -> Split:
    """The official test images, and 5,000 of the training images held out for validation."""
    train, validation = hold_out(load_fashion_mnist("train", reporter), VALIDATION_IMAGES, seed=seed)
    return Split(train, validation, load_fashion_mnist("test", reporter))
