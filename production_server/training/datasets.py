"""The public datasets: where they come from, pinned by SHA-256, and where they are kept on this machine."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from production_server.training.downloads import check_digest, download
from production_server.training.errors import DataError
from production_server.training.image_set import ImageSet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from production_server.models import manifest
    from production_server.training.progress import Reporter

DATA_DIR_VARIABLE = "MODEL_DATA_DIR"


@dataclass(frozen=True)
class Source:
    """One file of a dataset at its public origin."""

    folder: str
    """Its folder in the cache and under MODEL_DATA_DIR."""
    file: str
    url: str
    sha256: str
    title: str
    licence: str

    def describe(self) -> manifest.Dataset:
        """As the manifest records it."""
        from production_server.models.manifest import Dataset

        return Dataset(name=self.title, url=self.url, sha256=self.sha256, licence=self.licence)


PIMA = Source(
    folder="pima",
    file="pima-indians-diabetes.csv",
    url="https://raw.githubusercontent.com/jbrownlee/Datasets/master/pima-indians-diabetes.data.csv",
    sha256="6bfe5d0f379d17a0e0819b996407e3c09bf80febd4287f2ed212190dfff154af",
    title="Pima Indians Diabetes",
    licence="not stated at its origin",
)
_ZALANDO = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"


def _fashion_mnist(file: str, sha256: str) -> Source:
    return Source("fashion-mnist", file, _ZALANDO + file, sha256, f"Fashion-MNIST, {file}", "MIT")


FASHION_MNIST = {
    "train-images": _fashion_mnist(
        "train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
    ),
    "train-labels": _fashion_mnist(
        "train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
    ),
    "test-images": _fashion_mnist(
        "t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
    ),
    "test-labels": _fashion_mnist(
        "t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
    ),
}


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Where downloads and checkpoints are kept: $XDG_CACHE_HOME/celeriac, by default ~/.cache/celeriac."""
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "celeriac"


def obtain(source: Source, reporter: Reporter, *, environment: Mapping[str, str] = os.environ) -> Path:
    """The file's path on this machine: from MODEL_DATA_DIR if it is there, else from the cache, else downloaded.

    Raises:
        DigestError: the file's SHA-256 is not the pinned one.
        DownloadError: its origin cannot be reached.
    """
    return kept_or_fetched(
        source,
        lambda cached: download(source.url, cached, sha256=source.sha256, reporter=reporter),
        environment=environment,
    )


def kept_or_fetched(
    source: Source, fetch: Callable[[Path], None], *, environment: Mapping[str, str] = os.environ
) -> Path:
    """As `obtain`, whatever brings the file into the cache.

    Raises:
        DigestError: the file's SHA-256 is not the pinned one.
    """
    own = environment.get(DATA_DIR_VARIABLE)
    places = [Path(own) / source.folder / source.file] if own else []
    cached = cache_directory(environment) / "datasets" / source.folder / source.file
    for place in (*places, cached):
        if place.is_file():
            check_digest(place, sha256=source.sha256, origin=str(place))
            return place
    fetch(cached)
    return cached


def load_fashion_mnist(part: str, reporter: Reporter) -> ImageSet:
    """Load the official part "train" (60,000 images) or "test" (10,000): uint8 [n, 28, 28, 1]."""
    images = _read_idx(obtain(FASHION_MNIST[f"{part}-images"], reporter))
    labels = _read_idx(obtain(FASHION_MNIST[f"{part}-labels"], reporter))
    return ImageSet(images[..., None], labels.astype(np.int32))


def load_pima(reporter: Reporter) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Load (rows float32 [768, 8] as they are written, outcome int32 [768])."""
    table = np.loadtxt(obtain(PIMA, reporter), delimiter=",", dtype=np.float32)
    return table[:, :8], table[:, 8].astype(np.int32)


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped IDX file of bytes (http://yann.lecun.com/exdb/mnist/ describes the format)."""
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\0\0\x08":
        raise DataError(f"{path} is not an IDX file of bytes")
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
