"""Real images on which Keras and ONNX Runtime are compared, for a model that is not trained here and brings none."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from production_server.models.images import as_png, fit, read_pixels
from production_server.training.datasets import DATA_DIR_VARIABLE, load_fashion_mnist
from production_server.training.errors import DataError
from production_server.training.export import FEWEST_INPUTS
from production_server.training.image_files import MOST_PIXELS, find_photos, open_file, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

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
    files: Mapping[int, Path | bytes]
    """By their places, the files of those that are no crops but whole."""

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, part: slice, /) -> NDArray[np.float32]:
        scale, offset = np.float32(self.preprocessing.scale), np.float32(self.preprocessing.offset)
        return self.pixels[part].astype(np.float32) * scale + offset

    def file(self, place: int) -> tuple[str, bytes]:
        """Name and bytes of the file that a whole image was read from.

        Raises:
            DataError: it cannot be read any more.
        """
        file = self.files[place]
        return (f"image {place}", file) if isinstance(file, bytes) else (str(file), read_file(file))


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
            photo = open_file(path, preprocessing.mode)
            pixels[place * each] = fit(photo, preprocessing)
            for index, box in enumerate(_boxes(photo.size, each - 1, generator), start=place * each + 1):
                pixels[index] = fit(photo, preprocessing, box=box)
            advance(each)
    files = {place * each: path for place, path in enumerate(paths)}
    return ParityInputs(pixels, preprocessing, f"{len(pixels):,} crops of {len(paths)} photos", files)


def _is_readable(path: Path, reporter: Reporter) -> bool:
    try:
        open_file(path, "RGB")
    except DataError as exc:
        reporter.say(f"left out: {exc}")
        return False
    return True


def _boxes(
    size: tuple[int, int], count: int, generator: np.random.Generator
) -> Iterator[tuple[float, float, float, float]]:
    """Squares within a photo of that width and height."""
    width, height = size
    for _ in range(count):
        side = generator.uniform(SMALLEST_CROP, 1) * min(size)
        left, top = generator.uniform(0, width - side), generator.uniform(0, height - side)
        yield (left, top, left + side, top + side)


def _clothes(
    preprocessing: ImagePreprocessing, generator: np.random.Generator, reporter: Reporter
) -> ParityInputs:
    images = load_fashion_mnist("test", reporter).images
    chosen = generator.choice(len(images), FEWEST_INPUTS, replace=False)
    files = {place: as_png(images[each]) for place, each in enumerate(chosen)}
    pixels = np.stack([read_pixels(file, preprocessing, max_pixels=MOST_PIXELS) for file in files.values()])
    return ParityInputs(
        pixels, preprocessing, f"{len(pixels):,} test images of Fashion-MNIST, enlarged", files
    )
