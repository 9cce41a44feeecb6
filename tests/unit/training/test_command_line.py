from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from production_server.models.manifest import read_manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).parents[3]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "production_server.training", *map(str, arguments)]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """No data folder, and a cache of this test's own."""
    kept = {
        name: value for name, value in os.environ.items() if name not in {"MODEL_DATA_DIR", "MODEL_STORE"}
    }
    return kept | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "COLUMNS": "100"}


def run(environment: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_help_shows_examples(environment: dict[str, str]) -> None:
    top, image = run(environment, "--help"), run(environment, "fashion_mnist", "--help")

    assert top.returncode == image.returncode == 0
    assert "python -m production_server.training diabetes" in top.stdout
    assert "--data photos/ --name my_model" in image.stdout
    assert all(
        option in image.stdout
        for option in ("--epochs", "--size", "--seed", "--store", "--no-flip", "--precision")
    )


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["fashion_mnist", "--data", "."], "--data needs --name"),
        (["fashion_mnist", "--data", "nowhere", "--name", "toys"], "'nowhere' does not exist"),
        (["fashion_mnist", "--data", ".", "--name", "My Model"], "use lower case letters"),
        (["diabetes", "--store", "s3://bucket/models"], "a folder, not s3:/bucket/models"),
        (["fashion_mnist", "--size", "64"], "--size only goes with --data"),
        (["fashion_mnist", "--epochs", "0"], "0 is not in the range"),
        (["mnist"], "No such command 'mnist'"),
        (["mobilenet", "--alpha", "0.25"], "--variant and --alpha only go with --weights"),
        (["mobilenet", "--weights", "nowhere.h5"], "'nowhere.h5' does not exist"),
        (["mobilenet", "--weights", "."], "'.' is a directory"),
        (["mobilenet", "--parity-images", "nowhere"], "'nowhere' does not exist"),
    ],
)
def test_a_wrong_use_is_explained_without_a_traceback(
    environment: dict[str, str], arguments: list[str], fault: str
) -> None:
    done = run(environment, *arguments)

    assert done.returncode == 2
    assert fault in done.stderr
    assert "Traceback" not in done.stderr


def test_unusable_data_ends_in_one_line_and_leaves_no_version(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "photos" / "red").mkdir(parents=True)

    done = run(
        environment,
        "fashion_mnist",
        "--data",
        tmp_path / "photos",
        "--name",
        "toys",
        "--store",
        tmp_path / "store",
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "expected one folder of images per class" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store").exists()


def test_unusable_weights_end_in_one_line_and_leave_no_version(
    environment: dict[str, str], tmp_path: Path
) -> None:
    weights = tmp_path / "weights.h5"
    weights.write_text("hello")

    done = run(environment, "mobilenet", "--weights", weights, "--store", tmp_path / "store")

    assert (done.returncode, done.stdout) == (1, "")
    assert "is not an HDF5 file that can be read" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store").exists()


@pytest.mark.training
@pytest.mark.timeout(900)
def test_a_training_on_a_folder_that_is_killed_goes_on_and_yields_a_version_that_loads(
    environment: dict[str, str], photos: Path, tmp_path: Path
) -> None:
    arguments = (
        "fashion_mnist", "--data", photos, "--name", "toys", "--store", tmp_path / "store", "--precision", "float32",
    )  # fmt: skip
    kill_after_first_epoch(environment, tmp_path / "cache", *arguments, "--epochs", "5")

    done = run(environment, *arguments, "--epochs", "5")

    assert done.returncode == 0, done.stderr
    assert "Going on after epoch" in done.stderr
    folder = Path(done.stdout.strip())
    assert folder == tmp_path / "store" / "toys" / "1"
    manifest = read_manifest(folder)
    assert manifest.labels == ("blue", "red")
    assert manifest.inputs[0].shape == (None, 32, 32, 3)
    assert manifest.image is not None
    assert (manifest.image.mode, manifest.image.invert) == ("RGB", "never")
    assert manifest.parity is not None
    assert manifest.parity.max_abs_difference <= 1e-5
    assert set(manifest.files) == {
        "model.keras", "model.onnx", "plots/confusion_matrix.svg", "plots/learning_curves.svg",
        "report.json",
    }  # fmt: skip
    assert answers(folder).shape == (2, 2)
    assert not list((tmp_path / "cache").rglob("*.npz"))


def kill_after_first_epoch(environment: dict[str, str], cache: Path, *arguments: str | Path) -> None:
    """Start the training and end it with SIGKILL when its first checkpoint is there."""
    with subprocess.Popen(
        command(*arguments), env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 600
        while not list(cache.rglob("*.npz")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def answers(folder: Path) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"image": np.zeros((2, 32, 32, 3), np.float32)})[0]  # type: ignore[no-any-return]
