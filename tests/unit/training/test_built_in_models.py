"""The trained versions that are committed are whole, and as good as their manifests say."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from production_server.models.manifest import Manifest, Metric, read_manifest
from production_server.training.datasets import load_fashion_mnist, load_pima

if TYPE_CHECKING:
    from tests.unit.training.conftest import Transcript

STORE = Path(__file__).parents[3] / "production_server" / "model_store"
VERSIONS = sorted(path.parent for path in STORE.glob("*/*/manifest.json"))
needs_data = pytest.mark.skipif(not os.environ.get("MODEL_DATA_DIR"), reason="MODEL_DATA_DIR is not set")


def open_session(folder: Path) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


def metrics_of(name: str) -> dict[str, Metric]:
    metrics = latest(name).metrics
    assert metrics is not None
    return metrics.values


def test_both_models_are_there() -> None:
    assert {folder.parent.name for folder in VERSIONS} == {"diabetes", "fashion_mnist"}


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: "-".join(folder.parts[-2:]))
def test_a_committed_version_holds_exactly_the_files_of_its_manifest(folder: Path) -> None:
    manifest = read_manifest(folder)

    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    files.pop("manifest.json")
    assert {name: hashlib.sha256(content).hexdigest() for name, content in files.items()} == {
        name: digest.sha256 for name, digest in manifest.files.items()
    }
    assert (manifest.name, manifest.version) == (folder.parent.name, folder.name)
    assert re.fullmatch("[0-9a-f]{40}", manifest.code_revision or "")
    assert manifest.parity is not None
    assert manifest.parity.inputs >= 1000
    assert manifest.parity.max_abs_difference <= 1e-5


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: "-".join(folder.parts[-2:]))
def test_a_committed_version_takes_exactly_what_it_declares(folder: Path) -> None:
    manifest, session = read_manifest(folder), open_session(folder)

    for declared, found in (
        (manifest.inputs, session.get_inputs()),
        (manifest.outputs, session.get_outputs()),
    ):
        assert [(spec.name, spec.item_shape) for spec in declared] == [
            (spec.name, tuple(spec.shape[1:])) for spec in found
        ]


def test_the_image_model_is_small_and_meets_its_target() -> None:
    manifest = latest("fashion_mnist")

    assert metrics_of("fashion_mnist")["accuracy"].mean >= 0.94
    assert manifest.files["model.onnx"].size_bytes <= 6_000_000


def test_the_diabetes_model_meets_its_target() -> None:
    values = metrics_of("diabetes")

    assert values["roc_auc"].mean >= 0.83
    assert set(values) == {"roc_auc", "accuracy", "sensitivity", "specificity", "brier"}
    assert all(metric.std is not None for metric in values.values())


@needs_data
def test_the_image_model_answers_the_test_images_as_well_as_its_manifest_says(transcript: Transcript) -> None:
    test = load_fashion_mnist("test", transcript)
    session = open_session(VERSIONS[-1])

    (found,) = session.run(["probabilities"], {"image": test.scaled()})

    share = float(np.mean(found.argmax(axis=1) == test.classes))
    assert share == pytest.approx(metrics_of("fashion_mnist")["accuracy"].mean, abs=2e-4)


@needs_data
def test_the_diabetes_model_parts_the_patients_it_was_fitted_to(transcript: Transcript) -> None:
    rows, outcome = load_pima(transcript)

    (found,) = open_session(VERSIONS[0]).run(["probabilities"], {"features": rows})

    assert found[outcome == 1, 1].mean() > found[outcome == 0, 1].mean() + 0.2


def latest(name: str) -> Manifest:
    return read_manifest([folder for folder in VERSIONS if folder.parent.name == name][-1])
