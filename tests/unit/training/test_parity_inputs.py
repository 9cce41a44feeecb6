from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from production_server.models.manifest import ImagePreprocessing
from production_server.training.errors import DataError
from production_server.training.parity_inputs import gather
from tests.unit.training.conftest import Transcript, paint

if TYPE_CHECKING:
    from pathlib import Path

SMALL = ImagePreprocessing(mode="RGB", width=12, height=10, scale=1 / 127.5, offset=-1.0)
needs_data = pytest.mark.skipif(not os.environ.get("MODEL_DATA_DIR"), reason="MODEL_DATA_DIR is not set")


def test_a_few_photos_give_a_thousand_crops_as_the_model_takes_them(
    photos: Path, transcript: Transcript
) -> None:
    inputs = gather(photos, SMALL, seed=1, reporter=transcript, environment={})

    part = inputs[990:]
    assert (len(inputs), inputs.origin) == (1008, "1,008 crops of 24 photos")
    assert part.shape == (18, 10, 12, 3)
    assert part.dtype == np.float32
    assert -1 <= part.min() < -0.5 < 0.4 < part.max() <= 1
    assert len(np.unique(inputs.pixels, axis=0)) == 1008


def test_the_same_seed_gives_the_same_crops(photos: Path, transcript: Transcript) -> None:
    first, same, other = (
        gather(photos, SMALL, seed=seed, reporter=transcript, environment={}) for seed in (1, 1, 2)
    )

    assert (first.pixels == same.pixels).all()
    assert (first.pixels != other.pixels).any()


def test_photos_of_the_data_folder_are_used_where_no_others_are_given(
    tmp_path: Path, transcript: Transcript
) -> None:
    paint(tmp_path / "photos" / "one.png", (9, 99, 200))

    inputs = gather(None, SMALL, seed=1, reporter=transcript, environment={"MODEL_DATA_DIR": str(tmp_path)})

    assert inputs.origin == "1,000 crops of 1 photos"


def test_a_photo_that_cannot_be_read_is_left_out_and_reported(photos: Path, transcript: Transcript) -> None:
    (photos / "red" / "broken.jpg").write_bytes(b"no photo")

    inputs = gather(photos, SMALL, seed=1, reporter=transcript, environment={})

    assert inputs.origin == "1,008 crops of 24 photos"
    assert (
        "broken.jpg: expected an image file (PNG, JPEG, GIF, WebP, BMP or PNM), got text" in transcript.text
    )


def test_a_folder_without_any_photo_is_refused(tmp_path: Path, transcript: Transcript) -> None:
    (tmp_path / "notes.txt").write_text("no photo")

    with pytest.raises(DataError, match="has no images that can be read"):
        gather(tmp_path, SMALL, seed=1, reporter=transcript, environment={})


@needs_data
def test_without_photos_other_real_images_are_used_and_named(transcript: Transcript) -> None:
    inputs = gather(None, SMALL, seed=1, reporter=transcript, environment={})

    assert (len(inputs), inputs.origin) == (1000, "1,000 test images of Fashion-MNIST, enlarged")
    assert inputs[:5].shape == (5, 10, 12, 3)
