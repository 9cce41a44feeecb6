"""Files of weights come from anywhere: what is no HDF5, too large or of another network is refused in one line."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from production_server.training import mobilenet_weights
from production_server.training.errors import DataError, DigestError
from production_server.training.mobilenet_weights import (
    MOBILENET_V2,
    Network,
    load_into,
    own_weights,
    published_weights,
)

if TYPE_CHECKING:
    from tests.unit.training.conftest import Transcript

SMALL = Network("mobilenet", 0.25)
WEIGHTS = Path(os.environ.get("MODEL_DATA_DIR", "")) / "models" / "mobilenet_v1_0.25_224.h5"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason="MODEL_DATA_DIR has no MobileNet weights")


def reason_of(path: Path, network: Network = SMALL) -> str:
    """Why a file is refused: before Keras sees it, or by Keras."""
    from production_server.training.mobilenet import build

    with pytest.raises(DataError) as caught:
        load_into(build(network), own_weights(path, network))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        own_weights(path, SMALL)
    return str(caught.value)


def test_a_file_of_ones_own_is_told_by_its_digest_and_nothing_is_made_up_of_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        file["layer"] = np.ones(3)

    weights = own_weights(path, SMALL)

    assert weights.origin.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (weights.origin.name, weights.origin.url) == ("Weights from the file mine.h5", "")
    assert weights.origin.licence == "not stated"
    assert weights.metrics.values == {}


def test_a_file_that_is_no_hdf5_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_text("hello")

    assert refused(path) == f"{path} is not an HDF5 file that can be read"


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file["layer"] = np.ones(30_000)
    path.write_bytes(path.read_bytes()[:50_000])

    assert refused(path) == f"{path} is not an HDF5 file that can be read"


def test_a_file_with_another_suffix_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"PK")

    assert refused(path).endswith("expected a file of weights in HDF5, whose name ends in .h5 or .hdf5")


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with path.open("wb") as file:
        file.truncate(200_000_001)

    assert refused(path) == f"{path}: larger than 200 MB"


def test_a_small_file_that_declares_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("layer/kernel", (1_000_000, 1_000), "float32", compression="gzip")

    assert path.stat().st_size < 10_000_000
    assert refused(path) == f"{path}: its numbers would take more than 200 MB"


@needs_weights
@pytest.mark.training
def test_weights_of_another_network_are_refused() -> None:
    assert reason_of(WEIGHTS, Network("mobilenet_v2", 0.25)).startswith(
        f"{WEIGHTS} does not fit MobileNetV2 0.25: Layer count mismatch"
    )


@needs_weights
@pytest.mark.training
def test_weights_of_another_width_are_refused() -> None:
    assert "does not fit MobileNet 0.5: Shape mismatch" in reason_of(WEIGHTS, Network("mobilenet", 0.5))


@needs_weights
@pytest.mark.training
@pytest.mark.parametrize("kind", ["link", "dataset"])
def test_weights_that_would_be_read_from_another_file_are_refused(tmp_path: Path, kind: str) -> None:
    path, secret = tmp_path / "weights.h5", tmp_path / "secret"
    shutil.copy(WEIGHTS, path)
    secret.write_bytes(bytes(1_000_000))
    path.chmod(0o600)
    with h5py.File(path, "r+") as file:
        layers = file["model_weights"]
        kernel = layers["conv1/conv1/kernel:0"]
        if kind == "link":
            del layers["conv1"]
            layers["conv1"] = h5py.ExternalLink(str(secret), "/")
        else:
            place = [(str(secret), 0, h5py.h5f.UNLIMITED)]
            del layers["conv1/conv1/kernel:0"]
            layers.create_dataset("conv1/conv1/kernel:0", kernel.shape, kernel.dtype, external=place)

    assert "Not allowed: H5 file with" in reason_of(path)


def test_of_published_weights_the_manifest_has_what_is_published_and_who_says_so(
    tmp_path: Path, transcript: Transcript, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "models" / MOBILENET_V2.file
    path.parent.mkdir()
    path.write_bytes(b"weights")
    source = replace(MOBILENET_V2, sha256=hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setattr(mobilenet_weights, "MOBILENET_V2", source)
    monkeypatch.setenv("MODEL_DATA_DIR", str(tmp_path))

    weights = published_weights(transcript)

    assert (weights.path, weights.network.title) == (path, "MobileNetV2")
    assert (weights.origin.url, weights.origin.licence) == (source.url, "Apache-2.0")
    assert weights.metrics.method.startswith("Published by Keras")
    assert {name: each.mean for name, each in weights.metrics.values.items()} == {
        "accuracy": 0.713, "top_5_accuracy": 0.901,
    }  # fmt: skip


def test_published_weights_with_another_digest_are_refused(
    tmp_path: Path, transcript: Transcript, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "models" / MOBILENET_V2.file
    path.parent.mkdir()
    path.write_bytes(b"tampered")
    monkeypatch.setenv("MODEL_DATA_DIR", str(tmp_path))

    with pytest.raises(DigestError, match=f"expected {MOBILENET_V2.sha256}"):
        published_weights(transcript)
