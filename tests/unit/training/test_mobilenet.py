"""The command that makes a version of weights, with real ones: MobileNet 0.25, and photos of known classes."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from production_server.inference import Engine
from production_server.models.manifest import Manifest, read_manifest
from production_server.models.registry import Registry
from production_server.models.tasks.task import Prediction
from production_server.models.tensors import only
from testing.image_files import decode_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("MODEL_DATA_DIR", ""))
WEIGHTS = DATA / "models" / "mobilenet_v1_0.25_224.h5"
PHOTOS = DATA / "photos"
MAX_PIXELS = 50_000_000

pytestmark = [
    pytest.mark.training,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # inside Keras, TensorFlow and tf2onnx
    pytest.mark.skipif(
        not (WEIGHTS.is_file() and PHOTOS.is_dir()),
        reason="MODEL_DATA_DIR has no MobileNet weights and photos",
    ),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with what the command makes of the weights."""
    store = tmp_path_factory.mktemp("mobilenet")
    arguments = [
        "mobilenet", "--weights", str(WEIGHTS), "--alpha", "0.25", "--variant", "mobilenet", "--store", str(store),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "production_server.training", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(store / "mobilenet" / "1")
    return store


@pytest.fixture(scope="module")
def manifest(store: Path) -> Manifest:
    return read_manifest(store / "mobilenet" / "1")


@pytest.fixture(scope="module")
def photos() -> dict[str, bytes]:
    """The photos by their names."""
    return {name: (PHOTOS / name).read_bytes() for name in expected_answers()}


@pytest.fixture(scope="module")
def answers(store: Path, photos: dict[str, bytes]) -> NDArray[np.float32]:
    """What a worker's engine answers to the photos: float32 [photos, 1000]."""
    outputs = Engine(Registry([store]), threads=1).run(
        "mobilenet", "1", list(photos.values()), max_pixels=MAX_PIXELS
    )
    assert not outputs.errors
    return only(outputs.values)


def expected_answers() -> dict[str, tuple[str, float]]:
    """What Keras' MobileNet 0.25 answered to each photo when the photos were chosen: label and score by file name."""
    with (PHOTOS / "labels.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    column = header.index("keras_mobilenet_0.25_top1")
    return {row[0]: (row[column].replace("_", " "), float(row[column + 1])) for row in rows}


def test_the_manifest_says_what_the_model_is_and_what_was_compared(manifest: Manifest) -> None:
    assert (manifest.title, len(manifest.labels), manifest.top) == ("MobileNet 0.25", 1000, 5)
    assert manifest.image is not None
    assert manifest.image.model_dump() == {
        "mode": "RGB", "width": 224, "height": 224, "scale": 1 / 127.5, "offset": -1.0, "invert": "never",
    }  # fmt: skip
    assert manifest.parity is not None
    assert manifest.metrics is not None
    assert manifest.parity.inputs >= 1000
    assert manifest.parity.max_abs_difference <= 1e-4
    assert (
        f"compared on {manifest.parity.inputs:,} crops of {len(expected_answers())} photos"
        in manifest.metrics.method
    )


def test_the_manifest_tells_the_weights_by_their_digest(manifest: Manifest) -> None:
    weights, _ = manifest.training_data

    assert weights.sha256 == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()


def test_the_class_index_goes_along_so_that_each_label_has_its_wordnet_identifier(
    store: Path, manifest: Manifest
) -> None:
    index = json.loads((store / "mobilenet" / "1" / "class_index.json").read_bytes())

    assert set(manifest.files) == {"class_index.json", "model.keras", "model.onnx", "report.json"}
    assert index["504"] == ["n03063599", "coffee_mug"]
    assert manifest.labels[504] == "coffee mug"


def test_the_worker_answers_every_photo_as_keras_does(
    photos: dict[str, bytes], answers: NDArray[np.float32], manifest: Manifest
) -> None:
    from production_server.training.mobilenet import build
    from production_server.training.mobilenet_weights import Network, load_into, own_weights

    network = Network("mobilenet", 0.25)
    model = build(network)
    load_into(model, own_weights(WEIGHTS, network))
    assert manifest.image is not None
    decoded = [decode_image(data, manifest.image, max_pixels=MAX_PIXELS) for data in photos.values()]

    of_keras = model.predict_on_batch(np.stack(decoded))

    assert answers.argmax(axis=1).tolist() == of_keras.argmax(axis=1).tolist()
    assert np.abs(answers - of_keras).max() <= 1e-4


def test_the_worker_answers_every_photo_as_was_noted_when_the_photos_were_chosen(
    answers: NDArray[np.float32], manifest: Manifest
) -> None:
    labels, scores = zip(*expected_answers().values(), strict=True)

    assert [manifest.labels[place] for place in answers.argmax(axis=1)] == list(labels)
    # They were resized without the shortcut that decode_image takes for the largest of them.
    assert answers.max(axis=1) == pytest.approx(scores, abs=3e-4)


def test_a_job_keeps_the_five_best_labels_of_a_photo(
    store: Path, photos: dict[str, bytes], answers: NDArray[np.float32]
) -> None:
    engine = Engine(Registry([store]), threads=1)

    batch = engine.predict_batch("mobilenet", "1", [photos["mug.jpg"]], max_pixels=MAX_PIXELS)

    result = batch.outcomes[0].result
    assert isinstance(result, Prediction)
    assert (result.label, len(result.output), result.output[0]) == ("coffee mug", 5, (504, result.score))
    assert result.score == pytest.approx(answers[list(photos).index("mug.jpg"), 504], abs=1e-5)


def test_the_other_network_exports_as_well(tmp_path: Path) -> None:
    """Its published weights cannot be had everywhere: with random ones only the graph is looked at."""
    from production_server.training.export import declare, export_model
    from production_server.training.mobilenet import build
    from production_server.training.mobilenet_weights import Network

    model = build(Network("mobilenet_v2"))
    images = np.random.default_rng(1).uniform(-1, 1, (4, 224, 224, 3)).astype(np.float32)

    parity = export_model(model, tmp_path, declare(model, "image"), images, fewest=4)

    assert (model.input_shape, model.output_shape) == ((None, 224, 224, 3), (None, 1000))
    assert parity.inputs == 4
