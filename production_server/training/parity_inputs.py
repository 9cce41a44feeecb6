"""Real images on which Keras and ONNX Runtime are compared, for a model that is not trained here and brings none."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from production_server.training.datasets import DATA_DIR_VARIABLE, load_fashion_mnist
from production_server.training.errors import DataError
from production_server.training.export import FEWEST_INPUTS
from production_server.training.image_files import find_photos, open_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from production_server.models.manifest import ImagePreprocessing
    from production_server.training.progress import Reporter

PHOTOS = "photos"
"""The folder of photos under MODEL_DATA_DIR."""
SMALLEST_CROP = 0.4
"""Of a photo's shorter side."""


@dataclass(frozen=True)
class ParityInputs:
    """Images as pixels, uint8 [n, height, width, 3]; a slice of them is what the model takes, float32."""

    pixels: NDArray[np.uint8]
    preprocessing: ImagePreprocessing
    origin: str
    """What they are, for the manifest: `1,014 crops of 26 photos`."""

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, part: slice, /) -> NDArray[np.float32]:
        scale, offset = np.float32(self.preprocessing.scale), np.float32(self.preprocessing.offset)
        return self.pixels[part].astype(np.float32) * scale + offset


def gather(
    photos: Path | None,
    preprocessing: ImagePreprocessing,
    *,
    seed: int,
    reporter: Reporter,
    environment: Mapping[str, str] = os.environ,
) -> ParityInputs:
    """At least 1,000 images: crops of the photos in a folder, or in MODEL_DATA_DIR/photos; else clothes, enlarged.

    Any real image shows whether two engines compute the same; photos are what the model is for.

    Raises:
        DataError: the folder has no image that can be read.
        TrainingError: there are no photos, and Fashion-MNIST cannot be had.
    """
    own = environment.get(DATA_DIR_VARIABLE)
    folder = photos or (Path(own) / PHOTOS if own else None)
    generator = np.random.default_rng(seed)
    if folder is not None and (photos is not None or folder.is_dir()):
        return _crops(folder, preprocessing, generator, reporter)
    return _clothes(preprocessing, generator, reporter)


def _crops(
    folder: Path, preprocessing: ImagePreprocessing, generator: np.random.Generator, reporter: Reporter
) -> ParityInputs:
    """Of each photo the whole of it, then squares from anywhere in it; equally many of each photo."""
    found = find_photos(folder)
    chosen = [
        found[place] for place in np.linspace(0, len(found) - 1, min(len(found), FEWEST_INPUTS)).astype(int)
    ]
    paths = [path for path in chosen if _is_readable(path, reporter)]
    if not paths:
        raise DataError(
            f"{folder} has no images that can be read: Keras and ONNX Runtime are compared on them"
        )
    each = math.ceil(FEWEST_INPUTS / len(paths))
    pixels = np.empty((each * len(paths), preprocessing.height, preprocessing.width, 3), np.uint8)
    with reporter.steps("Cropping photos", len(pixels)) as advance:
        for place, path in enumerate(paths):
            photo = open_image(path).convert("RGB")
            for index, box in enumerate(_boxes(photo, each, generator), start=place * each):
                pixels[index] = _resized(photo, preprocessing, box)
            advance(each)
    return ParityInputs(pixels, preprocessing, f"{len(pixels):,} crops of {len(paths)} photos")


def _is_readable(path: Path, reporter: Reporter) -> bool:
    try:
        open_image(path)
    except DataError as exc:
        reporter.say(f"left out: {exc}")
        return False
    return True


def _boxes(photo: Image.Image, count: int, generator: np.random.Generator) -> Iterator[Sequence[float]]:
    yield (0, 0, photo.width, photo.height)
    for _ in range(count - 1):
        side = generator.uniform(SMALLEST_CROP, 1) * min(photo.size)
        left, top = generator.uniform(0, photo.width - side), generator.uniform(0, photo.height - side)
        yield (left, top, left + side, top + side)


def _clothes(
    preprocessing: ImagePreprocessing, generator: np.random.Generator, reporter: Reporter
) -> ParityInputs:
    from PIL import Image

    images = load_fashion_mnist("test", reporter).images[..., 0]
    chosen = images[generator.choice(len(images), FEWEST_INPUTS, replace=False)]
    pixels = np.stack([_resized(Image.fromarray(image).convert("RGB"), preprocessing) for image in chosen])
    return ParityInputs(pixels, preprocessing, f"{len(pixels):,} test images of Fashion-MNIST, enlarged")


def _resized(
    image: Image.Image, preprocessing: ImagePreprocessing, box: Sequence[float] | None = None
) -> NDArray[np.uint8]:
    from PIL import Image

    size = (preprocessing.width, preprocessing.height)
    corners = None if box is None else (box[0], box[1], box[2], box[3])
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=corners), np.uint8)
