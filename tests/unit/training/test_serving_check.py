from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from production_server.models.images import fit
from production_server.models.manifest import read_manifest
from production_server.models.runners import load_runner
from production_server.models.store import ModelVersion, Store
from production_server.models.tensors import only
from production_server.training.errors import ExportError
from production_server.training.serving_check import MOST_FILES, check_files, check_table, chosen_places
from testing.image_files import decode_image
from testing.pictures import png

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.unit.training.conftest import Transcript

STORE = Path(__file__).parents[3] / "production_server" / "model_store"
ROWS = "6,148,72,35,0,33.6,0.627,50,1\n1,85,66,29,0,26.6,0.351,31,0\n8,183,64,0,0,23.3,0.672,32,1\n"


def built_in(name: str) -> ModelVersion:
    return [version for version in Store([STORE]).versions() if version.manifest.name == name][-1]


def answers_to(version: ModelVersion, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    runner = load_runner(version, threads=1)
    try:
        return only(runner.run({version.manifest.inputs[0].name: tensor}))
    finally:
        runner.close()


def cut_out(seed: int) -> bytes:
    """A picture with nothing behind it, as one is cut out for a shop: the colour there is black, and not to be seen."""
    image = Image.open(io.BytesIO(png(seed))).convert("RGBA")
    image.putalpha(image.getchannel("R").point(lambda value: 255 * (value > 0)))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def check(
    version: ModelVersion, files: list[bytes], answers: NDArray[np.float32], transcript: Transcript
) -> None:
    check_files(
        version.folder,
        range(len(files)),
        lambda place: (f"photos/{place}.png", files[place]),
        answers,
        transcript,
    )


def test_a_version_that_answers_its_held_out_files_as_was_measured_passes(transcript: Transcript) -> None:
    version = built_in("fashion_mnist")
    files = [png(seed) for seed in range(20)]
    assert version.manifest.image is not None
    pixels = [decode_image(data, version.manifest.image, max_pixels=10**6) for data in files]

    check(version, files, answers_to(version, np.stack(pixels)), transcript)


def test_cut_outs_that_were_measured_with_black_behind_them_are_refused_by_name(
    transcript: Transcript,
) -> None:
    version = built_in("fashion_mnist")
    files = [cut_out(seed) for seed in range(12)]
    spec = version.manifest.image
    assert spec is not None
    black = [fit(Image.open(io.BytesIO(data)).convert("L"), spec) for data in files]
    measured = answers_to(version, np.stack(black).astype(np.float32) * np.float32(spec.scale))

    version = ModelVersion(version.manifest, version.folder, version.task)
    with pytest.raises(ExportError, match=r"a server answers \d+ of 12 held-out files otherwise") as caught:
        check(version, files, measured, transcript)

    assert "photos/3.png: " in str(caught.value)
    assert "where the training measured" in str(caught.value)


def test_a_held_out_file_that_a_server_refuses_is_named_with_the_reason(transcript: Transcript) -> None:
    version = built_in("fashion_mnist")
    assert version.manifest.image is not None
    good = png(1)
    pixels = decode_image(good, version.manifest.image, max_pixels=10**6)
    answers = answers_to(version, np.stack([pixels, pixels]))

    with pytest.raises(ExportError, match="1 of 2 held-out files") as caught:
        check(version, [good, b"II*\0 a TIFF"], answers, transcript)

    assert "photos/1.png: expected an image file" in str(caught.value)


def test_a_number_that_is_none_is_a_difference(transcript: Transcript) -> None:
    version = built_in("fashion_mnist")
    measured = np.full((1, len(version.manifest.labels)), np.nan, np.float32)

    with pytest.raises(ExportError, match="1 of 1 held-out files"):
        check(version, [png(1)], measured, transcript)


def test_of_many_files_some_of_the_whole_set_are_asked_for() -> None:
    places = chosen_places(10_000)

    assert len(places) == len(set(places)) == MOST_FILES
    assert (places[0], places[-1]) == (0, 9_999)
    assert chosen_places(3) == [0, 1, 2]


def test_a_version_that_answers_the_rows_of_its_table_as_was_measured_passes() -> None:
    version = built_in("diabetes")
    rows = np.loadtxt(io.StringIO(ROWS), delimiter=",", dtype=np.float32)[:, :8]
    truth = ["diabetes", "no diabetes", "diabetes"]

    check_table(version.folder, ROWS.encode(), truth, answers_to(version, rows))


@pytest.mark.parametrize(
    ("table", "truth", "fault"),
    [
        (ROWS, "010", "row 1: the outcome diabetes, where the training has no diabetes"),
        (ROWS.replace("148", "183"), "101", "row 1: diabetes (0."),
        (ROWS[: ROWS.index("8,183")], "101", "2 rows, where the training has 3"),
        (ROWS.replace("72", "many"), "101", "a server refuses the table"),
    ],
)
def test_rows_that_a_server_reads_otherwise_refuse_the_version(table: str, truth: str, fault: str) -> None:
    version = built_in("diabetes")
    rows = np.loadtxt(io.StringIO(ROWS), delimiter=",", dtype=np.float32)[:, :8]
    labels = [read_manifest(version.folder).labels[int(each)] for each in truth]

    with pytest.raises(ExportError) as caught:
        check_table(version.folder, table.encode(), labels, answers_to(version, rows))

    assert fault in str(caught.value)
