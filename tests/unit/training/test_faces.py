"""The command that makes a version which finds faces, with the published networks and pictures of real people."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from production_server.inference import Engine, Outcome
from production_server.models.manifest import read_manifest
from production_server.models.registry import Registry
from production_server.models.tasks.faces import NO_FACE, embedding_of
from production_server.models.tasks.task import Prediction
from production_server.training.errors import DataError, DigestError, DownloadError
from production_server.training.faces.packages import FACE_API, embedding_weights, face_api
from production_server.training.progress import Reporter

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("MODEL_DATA_DIR", ""))
PEOPLE = DATA / "faces" / "att_faces"
GROUPS = DATA / "faces" / "groups"
PHOTOS = DATA / "photos"
MAX_PIXELS = 50_000_000

needs_faces = pytest.mark.skipif(not PEOPLE.is_dir(), reason="MODEL_DATA_DIR has no faces")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with what the command makes."""
    store = tmp_path_factory.mktemp("faces")
    done = subprocess.run(
        [sys.executable, "-m", "production_server.training", "faces", "--quiet", "--store", str(store)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(store / "faces" / "1")
    return store


@pytest.fixture(scope="module")
def engine(store: Path) -> Engine:
    return Engine(Registry([store]), threads=1)


def outcomes(engine: Engine, files: Iterable[bytes]) -> list[Outcome]:
    return engine.predict_batch("faces", "1", list(files), max_pixels=MAX_PIXELS).outcomes


def predictions(engine: Engine, files: Iterable[bytes]) -> list[Prediction]:
    found = [outcome.result for outcome in outcomes(engine, files)]
    assert all(isinstance(each, Prediction) for each in found), found
    return [each for each in found if isinstance(each, Prediction)]


@pytest.mark.training
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside Keras, TensorFlow and tf2onnx
@needs_faces
class TestWithTheNetworks:
    def test_the_version_needs_no_keras_and_says_where_it_comes_from(self, store: Path) -> None:
        manifest = read_manifest(store / "faces" / "1")

        assert (manifest.task, manifest.runner) == ("faces", "faces")
        assert {Path(name).suffix for name in manifest.files} == {".onnx", ".json"}
        assert [each.licence for each in manifest.training_data] == ["MIT"] * 4
        assert manifest.parity is not None
        assert manifest.parity.inputs >= 1000
        assert manifest.parity.max_abs_difference < 1e-4

    def test_faces_of_forty_people_are_found_and_told_apart(self, engine: Engine) -> None:
        files = [PEOPLE / f"s{person}" / f"{number}.pgm" for person in range(1, 41) for number in (1, 4, 8)]

        found = predictions(engine, (file.read_bytes() for file in files))

        assert [each.label for each in found] == ["1 face"] * len(files)
        numbers = np.stack([embedding_of(each.output[0]) for each in found])
        assert np.allclose(np.linalg.norm(numbers, axis=1), 1, atol=1e-5)
        people = np.repeat(np.arange(40), 3)
        apart = np.linalg.norm(numbers[:, np.newaxis] - numbers, axis=2)
        others = apart[people[:, np.newaxis] != people]
        nearest_stranger = np.quantile(others, 0.001)
        same = apart[(people[:, np.newaxis] == people) & ~np.eye(len(files), dtype=bool)]
        assert (same < nearest_stranger).mean() > 0.9

    def test_everybody_in_a_group_is_found_and_nobody_else(self, engine: Engine) -> None:
        files = [GROUPS / "three_people.jpg", GROUPS / "ultralight_16.jpg"]

        three, nine = predictions(engine, (file.read_bytes() for file in files))

        assert (three.label, nine.label) == ("3 faces", "9 faces")
        for face in (*three.output, *nine.output):
            left, top, right, bottom = face["box"]
            eyes_nose_mouth = np.array(face["landmarks"])
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1
            assert (eyes_nose_mouth > (left, top)).all()
            assert (eyes_nose_mouth < (right, bottom)).all()
            # Eyes above the nose, the nose above the mouth.
            assert eyes_nose_mouth[:2, 1].max() < eyes_nose_mouth[2, 1] < eyes_nose_mouth[3:, 1].min()
            assert face["side"] > 40

    def test_photos_without_people_have_no_faces_and_that_is_an_answer(self, engine: Engine) -> None:
        photos = sorted(PHOTOS.glob("*.jpg"))

        found = predictions(engine, (photo.read_bytes() for photo in photos))

        assert len(found) > 20
        assert {(each.label, each.score, each.output) for each in found} == {(NO_FACE, None, ())}

    def test_a_bad_picture_takes_nothing_from_its_neighbours_of_other_sizes(self, engine: Engine) -> None:
        group, person = (GROUPS / "three_people.jpg").read_bytes(), (PEOPLE / "s1" / "1.pgm").read_bytes()

        first, bad, last = outcomes(engine, [group, group[: len(group) // 2] + b"no", person])

        assert isinstance(first.result, Prediction)
        assert isinstance(last.result, Prediction)
        assert (first.result.label, last.result.label) == ("3 faces", "1 face")
        assert "image" in str(bad.result)

    def test_a_turned_photo_is_set_upright_and_a_small_one_has_the_same_faces(self, engine: Engine) -> None:
        picture = Image.open(GROUPS / "three_people.jpg")
        small, turned = io.BytesIO(), io.BytesIO()
        picture.resize((picture.width // 2, picture.height // 2)).save(small, "PNG")
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees
        picture.rotate(90, expand=True).save(turned, "JPEG", quality=95, exif=exif)

        whole, *others = predictions(
            engine, [(GROUPS / "three_people.jpg").read_bytes(), small.getvalue(), turned.getvalue()]
        )

        for other in others:
            assert other.label == "3 faces"
            for face in whole.output:
                nearest = min(
                    np.linalg.norm(embedding_of(face) - embedding_of(each)) for each in other.output
                )
                assert nearest < 0.4

    def test_calls_get_as_many_places_as_the_fullest_picture_has_faces(self, engine: Engine) -> None:
        group = (GROUPS / "three_people.jpg").read_bytes()
        dark = io.BytesIO()
        Image.new("RGB", Image.open(io.BytesIO(group)).size).save(dark, "PNG")

        outputs = engine.run("faces", "1", [group, dark.getvalue()], max_pixels=MAX_PIXELS)

        assert outputs.values["count"].tolist() == [3, 0]
        assert outputs.values["embeddings"].shape == (2, 3, 128)
        assert not outputs.values["embeddings"][1].any()


def test_a_package_that_is_another_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / FACE_API.folder).mkdir()
    (tmp_path / FACE_API.folder / FACE_API.file).write_bytes(b"another one")

    with pytest.raises(DigestError, match=FACE_API.sha256):
        face_api(Reporter(is_quiet=True), environment={"MODEL_DATA_DIR": str(tmp_path)})


def test_without_npm_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DownloadError, match="npm, which is not installed"):
        face_api(Reporter(is_quiet=True), environment={"XDG_CACHE_HOME": str(tmp_path)})


def test_a_package_without_the_network_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "other.tgz", "w:gz"):
        pass

    with pytest.raises(DataError, match="is no package of face-api"):
        embedding_weights(tmp_path / "other.tgz")
