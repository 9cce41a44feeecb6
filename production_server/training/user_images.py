"""The user's own labelled images: a folder per class, or a CSV of paths and labels, made ready for a training."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from production_server.models.images import fit
from production_server.models.manifest import Dataset, ImagePreprocessing
from production_server.training.description import Description
from production_server.training.errors import DataError
from production_server.training.image_files import LabelledFile, find_images, open_file
from production_server.training.image_set import ImageSet, Split, hold_out

if TYPE_CHECKING:
    from pathlib import Path

    from production_server.models.images import Picture
    from production_server.training.progress import Reporter

FEWEST_PER_CLASS = 5
HELD_OUT = 0.15
"""The share of the images that goes to validation, and the same again to test."""
SMALLEST, LARGEST = 28, 96
"""Pixels; the size that is taken from the images is kept within these."""
FAULTS_TO_NAME = 20
_GLANCE = ImagePreprocessing(mode="RGB", width=32, height=32, scale=1.0)
"""What is looked at to tell grey from colour."""


@dataclass(frozen=True)
class Collection:
    """The files that could be read, and what their sizes and colours are."""

    files: tuple[LabelledFile, ...]
    labels: tuple[str, ...]
    shorter_sides: tuple[int, ...]
    is_grey: bool


def prepare(
    data: Path, name: str, *, size: int | None, seed: int, reporter: Reporter
) -> tuple[Description, Split]:
    """Read the images under `data` and part them, 70 / 15 / 15 % of each class.

    `size` is height and width in pixels; None takes the median of the images' shorter sides, within 28 to 96.
    A file that cannot be read is reported and left out.

    Raises:
        DataError: there is too little to train on, or the CSV cannot be understood.
    """
    collection = survey(find_images(data, reporter.say), reporter)
    side = size or int(np.clip(np.median(collection.shorter_sides), SMALLEST, LARGEST))
    preprocessing = ImagePreprocessing(
        mode="L" if collection.is_grey else "RGB", width=side, height=side, scale=1 / 255
    )
    images = load(collection, preprocessing, reporter)
    split = part(images, seed=seed)
    reporter.say(
        f"{len(images)} images of {len(collection.labels)} classes, as {side}x{side} "
        f"{'grey' if collection.is_grey else 'colour'} images: {', '.join(collection.labels)}"
    )
    description = describe(name, data, collection, images, preprocessing, held_out=len(split.test))
    return description, split


def survey(files: list[LabelledFile], reporter: Reporter) -> Collection:
    """Open every file once: which can be read, how large, grey or colour.

    Raises:
        DataError: fewer than two classes, or a class with too few readable images.
    """
    good: list[LabelledFile] = []
    sides: list[int] = []
    bad = 0
    is_grey = True
    with reporter.steps("Looking at images", len(files)) as advance:
        for file in files:
            try:
                picture = open_file(file.path, "RGB")
            except DataError as exc:
                bad += 1
                if bad <= FAULTS_TO_NAME:
                    reporter.say(f"left out: {exc}")
            else:
                good.append(file)
                sides.append(min(picture.size))
                is_grey = is_grey and _is_grey(picture)
            advance(1)
    if bad:
        reporter.say(f"{bad} of {len(files)} files could not be read and were left out")
    labels = _check_classes(good, files)
    return Collection(tuple(good), labels, tuple(sides), is_grey)


def load(collection: Collection, preprocessing: ImagePreprocessing, reporter: Reporter) -> ImageSet:
    """Read every image as a server would: uint8 [n, height, width, 1 or 3]."""
    shape = (preprocessing.height, preprocessing.width, preprocessing.channels)
    images = np.empty((len(collection.files), *shape), np.uint8)
    with reporter.steps("Reading images", len(images)) as advance:
        for index, file in enumerate(collection.files):
            images[index] = fit(open_file(file.path, preprocessing.mode), preprocessing)
            advance(1)
    classes = [collection.labels.index(file.label) for file in collection.files]
    return ImageSet(images, np.array(classes, np.int32), tuple(file.path for file in collection.files))


def part(images: ImageSet, *, seed: int) -> Split:
    """Part images into train, validation and test, with the same shares of each class."""
    held = round(len(images) * HELD_OUT)
    rest, test = hold_out(images, held, seed=seed)
    train, validation = hold_out(rest, held, seed=seed + 1)
    return Split(train, validation, test)


def describe(
    name: str,
    data: Path,
    collection: Collection,
    images: ImageSet,
    preprocessing: ImagePreprocessing,
    *,
    held_out: int,
) -> Description:
    """What the manifest says of a model of the user's own images; their digest is over the pixels as trained on."""
    digest = hashlib.sha256(images.images.tobytes() + images.classes.tobytes()).hexdigest()
    return Description(
        name=name,
        title=name.replace("_", " ").capitalize(),
        text=f"Classifies images as: {', '.join(collection.labels)}.",
        labels=collection.labels,
        data=f"{held_out} images held out of {len(images)} in {data.name}",
        training_data=(Dataset(name=data.name, url="", sha256=digest, licence="the user's own"),),
        image=preprocessing,
    )


def _check_classes(good: list[LabelledFile], found: list[LabelledFile]) -> tuple[str, ...]:
    counts = Counter(file.label for file in good)
    labels = sorted({file.label for file in found})
    if len(labels) < 2:
        raise DataError(f"at least two classes are needed; found {', '.join(labels) or 'none'}")
    few = [f"{label} has {counts[label]}" for label in labels if counts[label] < FEWEST_PER_CLASS]
    if few:
        raise DataError(f"each class needs at least {FEWEST_PER_CLASS} readable images: {', '.join(few)}")
    return tuple(labels)


def _is_grey(picture: Picture) -> bool:
    """Whether a picture holds no colour, whatever its file's mode (many grey photos are stored as RGB)."""
    pixels = fit(picture, _GLANCE).astype(np.int16)
    return bool(np.abs(pixels - pixels.mean(axis=2, keepdims=True)).max() <= 4)
