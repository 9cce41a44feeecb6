"""Images of labels and of a base become what a training of their labels takes; with TensorFlow, a model's file."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from production_server.models.manifest import ImagePreprocessing
from production_server.retraining.held_out import is_held_out
from production_server.retraining.images import SCALE, Images, Told
from production_server.training.again import base_files, read_images
from production_server.training.errors import DataError
from production_server.training.image_files import LabelledFile
from tests.unit.training.conftest import Transcript

ROOT = Path(__file__).parents[3]
IMAGE = ImagePreprocessing(mode="L", width=28, height=28, scale=SCALE)
LABELS = ("dark", "light")


def draw(folder: Path, label: str, count: int, *, seed: int) -> list[Path]:
    """Images of one label, of which no two are the same."""
    random = np.random.default_rng(seed)
    (folder / label).mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        pixels = random.integers(0, 90, (28, 28)) + (150 if label == "light" else 0)
        paths.append(folder / label / f"{number}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    return paths


def test_a_base_loses_what_is_held_out_and_labels_that_the_model_has_not(
    tmp_path: Path, transcript: Transcript
) -> None:
    drawn = draw(tmp_path, "dark", 40, seed=1) + draw(tmp_path, "light", 40, seed=2)
    draw(tmp_path, "other", 3, seed=3)

    found = {file.path for file in base_files(tmp_path, LABELS, transcript)}

    held = {path for path in drawn if is_held_out(hashlib.sha256(path.read_bytes()).digest())}
    assert 0 < len(held) < 40
    assert found == set(drawn) - held
    assert "no such labels: other" in transcript.text
    assert f"{len(held)} of it are kept from training" in transcript.text


def test_files_are_read_with_the_labels_of_the_model_and_bad_ones_are_said(
    tmp_path: Path, transcript: Transcript
) -> None:
    files = [LabelledFile(path, label) for label in LABELS for path in draw(tmp_path, label, 10, seed=4)]
    (tmp_path / "bad.png").write_bytes(b"no image")

    read = read_images([*files, LabelledFile(tmp_path / "bad.png", "dark")], LABELS, IMAGE, transcript)

    assert read.images.shape == (20, 28, 28, 1) and read.classes.tolist() == [0] * 10 + [1] * 10
    assert "bad.png" in transcript.text
    with pytest.raises(DataError, match="got 10 of 1"):
        read_images(files[:10], LABELS, IMAGE, transcript)


@pytest.mark.training
def test_labels_become_a_file_and_an_interrupted_training_goes_on(tmp_path: Path) -> None:
    data, home = tmp_path / "data", tmp_path / "home"
    rows = [f"{path.relative_to(data)},{label}" for label in LABELS for path in draw(data, label, 20, seed=5)]
    (data / "labels.csv").write_text("\n".join(["path,label", *rows]))
    home.mkdir()
    told = Told(
        model="shades",
        title="Shades",
        description="",
        labels=(*LABELS, "never seen"),
        image=IMAGE,
        options=Images(epochs=2),
    )
    (tmp_path / "told.json").write_text(told.model_dump_json())
    files = [str(tmp_path / name) for name in ("data", "model.onnx", "told.json")]
    command = [sys.executable, "-m", "production_server.training.again", *files]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(home)}

    done = [
        subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, check=False)
        for _ in range(2)
    ]

    assert [each.returncode for each in done] == [0, 0], done[0].stderr
    assert "epoch   2/2" in done[0].stderr
    assert "Going on after epoch 2 of 2" in done[1].stderr, "its checkpoint stays as long as its folder"
    (given,) = onnx.load(tmp_path / "model.onnx").graph.output
    assert given.type.tensor_type.shape.dim[1].dim_value == len(told.labels)
