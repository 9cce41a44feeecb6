"""What a model's folder in a repository is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from production_server.delivery.descriptions import read_description
from production_server.delivery.layouts import (
    foreign_file_in,
    is_version,
    read_version,
    sample_in,
    unused_in,
)
from production_server.errors import InvalidInput
from testing.small_models import write_table_model


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


@pytest.mark.parametrize(
    ("names", "file", "weights"),
    [
        (["iris.onnx", "model.yaml", "sample.csv", "README.md", "classes.txt"], "iris.onnx", None),
        (["model.onnx", "model.onnx.data"], "model.onnx", None),
        (["model.json", "weights.h5"], "model.json", "weights.h5"),
        (["M.ONNX"], "M.ONNX", None),
        (["model.zip", "sample.zip"], "model.zip", None),
        (["saved/saved_model.pb", "saved/variables/x", "sample/mug/1.png"], "saved", None),
        (["saved_model.pb", "variables/x"], ".", None),
    ],
)
def test_one_model_is_found_among_what_stands_beside_it(
    tmp_path: Path, names: list[str], file: str, weights: str | None
) -> None:
    found = foreign_file_in(fill(tmp_path, *names), "iris")

    assert found.file == tmp_path / file
    assert found.weights == (tmp_path / weights if weights else None)


@pytest.mark.parametrize(
    ("names", "got"),
    [
        (["README.md"], "got none"),
        (["a.onnx", "b.onnx"], r"got a\.onnx, b\.onnx"),
        (["a.onnx", "saved/saved_model.pb"], r"got saved, a\.onnx"),
    ],
)
def test_none_or_several_are_refused_by_name(tmp_path: Path, names: list[str], got: str) -> None:
    with pytest.raises(InvalidInput, match=f"^iris: expected a version of .*{got}$"):
        foreign_file_in(fill(tmp_path, *names), "iris")


def test_a_version_may_have_a_sample_and_notes_beside_it(tmp_path: Path) -> None:
    folder = fill(write_table_model(tmp_path, "table"), "sample.csv", "README.md", ".gitattributes")

    assert is_version(folder)
    assert read_version(folder, "table").name == "table"
    assert sample_in(folder) == folder / "sample.csv"


def test_all_files_of_a_version_that_are_wrong_are_told(tmp_path: Path) -> None:
    folder = write_table_model(tmp_path, "table")
    told = json.loads((folder / "manifest.json").read_text())
    told["files"]["plots/roc.svg"] = told["files"]["model.onnx"]
    (folder / "manifest.json").write_text(json.dumps(told))
    fill(folder, "model.onnx", "more.bin")

    with pytest.raises(InvalidInput) as caught:
        read_version(folder, "table")

    assert [fault.field for fault in caught.value.faults] == [
        "table/model.onnx", "table/plots/roc.svg", "table/more.bin",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "other"}, "name: expected table, as its folder, got other"),
        ({"runner": "keras"}, "runner: expected onnx: push the .keras file itself, got keras"),
        ({"labels": "none"}, "table/manifest.json: labels: expected "),
        ({"files": {}}, "files: expected model.onnx among them, got none of that name"),
        ({"task": "guessing"}, "expected a manifest, as `make train` writes it, got "),
    ],
)
def test_a_manifest_that_is_not_what_it_should_be_is_refused(
    tmp_path: Path, changes: dict[str, object], fault: str
) -> None:
    folder = write_table_model(tmp_path, "table")
    told = json.loads((folder / "manifest.json").read_text()) | changes
    (folder / "manifest.json").write_text(json.dumps(told))

    with pytest.raises(InvalidInput, match=fault):
        read_version(folder, "table")


def test_what_was_sent_names_no_file_outside_of_its_folder(tmp_path: Path) -> None:
    fill(tmp_path, "secret.txt", "iris/classes.txt")
    (tmp_path / "iris/link.txt").symlink_to(tmp_path / "secret.txt")
    description = tmp_path / "iris/model.yaml"
    for label in ("../secret.txt", str(tmp_path / "secret.txt"), "link.txt"):
        description.write_text(f"labels: {label}\n")
        with pytest.raises(InvalidInput, match=r"^labels: expected a file beside the description"):
            read_description(description, {}, within=tmp_path / "iris")

    description.write_text("labels: classes.txt\n")

    assert read_description(description, {}, within=tmp_path / "iris").labels == ("x",)


def test_a_description_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_bytes(b"title: \xff\n")

    with pytest.raises(InvalidInput, match=r"^iris/model\.yaml: expected text in UTF-8"):
        read_description(tmp_path / "model.yaml", {}, name="iris/model.yaml")


def test_of_two_samples_none_is_guessed(tmp_path: Path) -> None:
    fill(tmp_path / "iris", "iris.onnx", "sample.csv", "sample/mug/1.png")

    with pytest.raises(InvalidInput, match=r"iris, sample: expected one of .*, got sample\.csv, sample$"):
        sample_in(tmp_path / "iris")


def test_what_looks_as_if_it_said_something_and_is_not_read_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "iris.onnx", "model.yml", "samples.csv", "sample.csv", "README.md", ".hidden.csv")

    assert unused_in(tmp_path, [tmp_path / "sample.csv"]) == ["model.yml", "samples.csv"]
