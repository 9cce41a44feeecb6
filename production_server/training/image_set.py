"""Labelled images in memory, and how they are parted into train, validation and test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from production_server.models.images import as_png
from production_server.training.image_files import read_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageSet:
    """Images, uint8 [n, height, width, channels], and the index of each one's class, int32 [n]."""

    images: NDArray[np.uint8]
    classes: NDArray[np.int32]
    paths: tuple[Path, ...] = ()
    """Of the files that the images were read from; none where the data set has no files."""

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: NDArray[np.int64]) -> ImageSet:
        paths = tuple(self.paths[index] for index in indices) if self.paths else ()
        return ImageSet(self.images[indices], self.classes[indices], paths)

    def file(self, place: int) -> tuple[str, bytes]:
        """Name and bytes of the file that an image was read from, else of a PNG of it.

        Raises:
            DataError: it cannot be read any more.
        """
        if self.paths:
            return str(self.paths[place]), read_file(self.paths[place])
        return f"image {place}", as_png(self.images[place])

    def scaled(self) -> NDArray[np.float32]:
        """The images as the model takes them: float32 in 0..1."""
        return self.images.astype(np.float32) * np.float32(1 / 255)


@dataclass(frozen=True)
class Split:
    """Train (weights), validation (every choice), test (looked at once, at the end)."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet


def hold_out(images: ImageSet, count: int, *, seed: int) -> tuple[ImageSet, ImageSet]:
    """Part `images` into (the rest, about `count` held out), with the same share of each class in both.

    A class with at least two images has at least one in each part. The same seed gives the same parts.
    """
    generator = np.random.default_rng(seed)
    share = count / len(images)
    held: list[NDArray[np.int64]] = []
    for index in np.unique(images.classes):
        members = generator.permutation(np.flatnonzero(images.classes == index))
        size = min(max(round(len(members) * share), 1), len(members) - 1)
        held.append(members[:size])
    mask = np.zeros(len(images), dtype=bool)
    mask[np.concatenate(held)] = True
    return images.take(np.flatnonzero(~mask)), images.take(np.flatnonzero(mask))
