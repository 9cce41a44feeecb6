"""The 1,000 classes of ImageNet (ILSVRC 2012) in the order in which Keras' models answer them.

Source: Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge" (https://arxiv.org/abs/1409.0575).
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from production_server.training.datasets import Source

if TYPE_CHECKING:
    from pathlib import Path

CLASS_INDEX = Source(
    folder="models",
    file="imagenet_class_index.json",
    url="https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json",
    sha256="a1e7a966a1f601d39e4b43e119b3e7dd4a2ad3ea08cf69847cbaf021013767bc",
    title="ImageNet class index of Keras",
    licence="Apache-2.0",
)


def read_labels(class_index: Path) -> tuple[str, ...]:
    """A label for each class, in the order of the class index.

    A name that two classes share is followed by their identifiers in WordNet, the other names are as they are: there
    is a bird `crane (n02012849)` and a machine `crane (n03126707)`.
    """
    index: dict[str, tuple[str, str]] = json.loads(class_index.read_bytes())
    entries = [index[str(place)] for place in range(len(index))]
    times = Counter(name for _, name in entries)
    return tuple(
        name.replace("_", " ") + (f" ({wordnet_id})" if times[name] > 1 else "")
        for wordnet_id, name in entries
    )
