"""The test images of Fashion-MNIST as PNG files in memory: what a client would upload."""

from __future__ import annotations

import io

from PIL import Image

from production_server.training.datasets import load_fashion_mnist
from production_server.training.progress import Reporter


def png_files(count: int) -> list[bytes]:
    """The first `count` of the 10,000 test images, each as one PNG file."""
    files = []
    for pixels in load_fashion_mnist("test", Reporter()).images[:count]:
        buffer = io.BytesIO()
        Image.fromarray(pixels[..., 0]).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files
