"""What people are told of an image model and its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from production_server.models.manifest import Dataset, ImagePreprocessing


@dataclass(frozen=True)
class Description:
    """The part of an image model's manifest that is known before the training."""

    name: str
    title: str
    text: str
    labels: tuple[str, ...]
    data: str
    """Which images the metrics were measured on."""
    training_data: tuple[Dataset, ...]
    image: ImagePreprocessing
    """How an image file becomes what the model is trained on, and asked with."""
