"""What one would write without a service: read image files, decode, batch, run the model, write a CSV.

    python -m benchmarks.by_hand MODEL.onnx FOLDER_OF_IMAGES ANSWERS.csv

It knows nothing of Celeriac, checks nothing, and uses all cores inside each call. It prints images per second, from the
first file read to the last line written; the model is loaded, and has run once, before.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.session import session

BATCH_ITEMS = 64
"""As the service's default."""


def main(model: str, folder: str, answers: str) -> None:
    """Classify every file of the folder."""
    loaded = session(model, threads=os.cpu_count() or 1)
    name = loaded.get_inputs()[0].name
    loaded.run(None, {name: np.zeros((BATCH_ITEMS, 28, 28, 1), np.float32)})
    begun, count = time.perf_counter(), 0
    with Path(answers).open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        for batch in _batches(sorted(Path(folder).iterdir())):
            images = np.stack([_pixels(path) for path in batch])
            (probabilities,) = loaded.run(None, {name: images})
            lines.writerows(
                (path.name, row.argmax(), *row.round(6).tolist())
                for path, row in zip(batch, probabilities, strict=True)
            )
            count += len(batch)
    print(count / (time.perf_counter() - begun))


def _batches(paths: list[Path]) -> Iterator[list[Path]]:
    for start in range(0, len(paths), BATCH_ITEMS):
        yield paths[start : start + BATCH_ITEMS]


def _pixels(path: Path) -> np.ndarray:
    """As the model was trained: dark behind, light in front."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    corners = pixels[np.ix_([0, 1, -2, -1], [0, 1, -2, -1])]
    if (corners > 127).sum() * 2 > corners.size:
        pixels = 255 - pixels
    return pixels[..., None].astype(np.float32) / 255


if __name__ == "__main__":
    main(*sys.argv[1:])
