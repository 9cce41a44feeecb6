"""One command for a folder of pictures: whose faces are labelled, and what stops it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from client.answers import Face, Result
from tools.faces import main, make_model, people_in, service, store_of

PLACE = "file:///photos"


def face(number: int, index: int, job: str = "a") -> Face:
    return Face(
        id=number,
        job=job,
        index=index,
        model="faces",
        version="1",
        box=[0.1, 0.1, 0.5, 0.5],
        score=0.9,
        side=90,
        sharpness=100.0,
        learnt_from=True,
    )


def picture(index: int, url: str | None, faces: int = 1) -> Result:
    return Result(index=index, state="succeeded", url=url, output={"faces": [{}] * faces})


def test_a_face_that_is_alone_in_its_picture_is_of_whom_the_folder_is_named_after() -> None:
    results = {
        "a": [
            picture(0, f"{PLACE}/ada/1.jpg"),
            picture(1, f"{PLACE}/ada/party/2.jpg"),
            picture(2, f"{PLACE}/eva/3.jpg", faces=2),
            picture(3, f"{PLACE}/4.jpg"),
            picture(4, "file:///photos-of-others/bob/5.jpg"),
            picture(5, None),
            Result(index=6, state="failed", url=f"{PLACE}/eva/README"),
        ],
        "b": [picture(0, f"{PLACE}/eva/6.jpg")],
    }
    faces = [face(10 + index, index) for index in range(7)] + [
        face(20, 2),
        face(30, 0, "b"),
        face(31, 1, "b"),
    ]

    assert people_in(faces, results, PLACE) == {"ada": [10, 11], "eva": [30]}


def test_a_model_is_made_only_where_the_store_has_none(tmp_path: Path) -> None:
    environ = {"STATE_DIR": str(tmp_path), "TRAINING_PYTHON": "false"}

    with pytest.raises(SystemExit, match="1"):
        make_model(environ)
    (tmp_path / "models" / "faces").mkdir(parents=True)
    make_model(environ)

    assert store_of({"MODEL_STORE": "/models"}) == Path("/models")


def test_a_service_that_does_not_start_ends_the_command() -> None:
    with pytest.raises(SystemExit, match="1"), service({"SERVING_PYTHON": "false", "PORT": "9"}, PLACE):
        pytest.fail("it was never ready")


def test_a_folder_with_spaces_in_its_path_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "my photos").mkdir()

    done = CliRunner().invoke(main, [str(tmp_path / "my photos")])

    assert done.exit_code == 1
    assert "ln -s" in done.output


def test_a_folder_that_is_not_there_is_told() -> None:
    done = CliRunner().invoke(main, ["nowhere"])

    assert done.exit_code == 2
    assert "'nowhere' does not exist" in done.output
