"""Pictures that somebody may upload."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def png(seed: int = 0, side: int = 28) -> bytes:
    """A grey image with noise in its middle, on black."""
    pixels = np.zeros((side, side), dtype=np.uint8)
    middle = slice(side // 4, side - side // 4)
    pixels[middle, middle] = np.random.default_rng(seed).integers(100, 255, pixels[middle, middle].shape)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
