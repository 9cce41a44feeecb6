"""A version that was trained takes the place of the one that a clone has."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from production_server.models.manifest import read_manifest
from production_server.models.registry import Registry
from production_server.training.clone import ModelsClone, subject_of
from production_server.training.errors import TrainingError
from testing.model_repository import ModelClone
from testing.small_models import write_table_model


@pytest.fixture
def clone(tmp_path: Path) -> ModelClone:
    folder = tmp_path / "models"
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(folder)], check=True)
    made = ModelClone(folder)
    made.git("config", "user.name", "Ada")
    made.git("config", "user.email", "ada@example.org")
    return made


def put(clone: ModelClone, **changes: object) -> None:
    write_table_model(clone.folder.parent / "made", "table", "4", **changes).rename(clone.folder / "table")


def test_a_version_takes_the_place_of_what_is_there_and_what_is_no_part_of_it_stays(
    clone: ModelClone,
) -> None:
    put(clone)
    for name in ("sample.csv", "README.md"):
        (clone.folder / "table" / name).write_text("x")
    clone.commit("Begin")

    models = ModelsClone(clone.folder)
    store = models.store_for("table")
    newest = Registry([store]).versions("table")[-1]
    target = models.take(write_table_model(store, "table", "5", target="fate"))

    assert newest.key == ("table", "4")
    assert target == clone.folder / "table"
    assert (read_manifest(target).version, read_manifest(target).target) == ("5", "fate")
    assert clone.git("log", "-1", "--format=%s") == "Train table: accuracy 0.5"
    assert clone.git("status", "--porcelain") == ""
    assert sorted(path.name for path in target.iterdir()) == [
        "README.md",
        "manifest.json",
        "model.onnx",
        "sample.csv",
    ]
    assert not list(store.glob("table/*"))


def test_the_first_version_of_a_model_is_held_against_nothing(clone: ModelClone) -> None:
    models = ModelsClone(clone.folder)
    store = models.store_for("table")

    models.take(write_table_model(store, "table"))

    assert clone.git("show", "--name-only", "--format=").split() == [
        "table/manifest.json",
        "table/model.onnx",
    ]


def test_changes_that_nobody_has_committed_are_not_trained_over(clone: ModelClone) -> None:
    put(clone)

    with pytest.raises(TrainingError, match="has changes: commit them, or git restore them, first"):
        ModelsClone(clone.folder).store_for("table")


def test_a_foreign_model_is_not_replaced(clone: ModelClone) -> None:
    (clone.folder / "table").mkdir()
    (clone.folder / "table/table.onnx").write_bytes(b"x")
    clone.commit("Begin")

    with pytest.raises(TrainingError, match="holds something else than a version that was trained"):
        ModelsClone(clone.folder).store_for("table")


def test_a_folder_that_is_no_clone_is_refused(tmp_path: Path, clone: ModelClone) -> None:
    with pytest.raises(TrainingError, match=r"git rev-parse in .* says: fatal: not a git repository"):
        ModelsClone(tmp_path).store_for("table")
    (clone.folder / "inner").mkdir()
    with pytest.raises(TrainingError, match="is inside of a clone"):
        ModelsClone(clone.folder / "inner").store_for("table")


def test_a_subject_names_the_model_where_nothing_was_measured(tmp_path: Path) -> None:
    manifest = read_manifest(write_table_model(tmp_path, metrics=None))

    assert subject_of(manifest) == "Train table"
