from __future__ import annotations

import json
from pathlib import Path

import pytest

from production_server.models.manifest import Manifest, read_manifest
from production_server.models.store import Store
from production_server.models.tasks import task_of
from testing.small_models import write_image_model, write_shades_model, write_table_model

BUILT_IN_STORE = Path(__file__).parents[3] / "production_server" / "model_store"


def test_versions_are_ordered_by_number_not_by_text(tmp_path: Path) -> None:
    for version in ("2", "10", "9"):
        write_table_model(tmp_path, version=version)

    assert [each.key for each in Store([tmp_path]).versions()] == [
        ("table", "2"),
        ("table", "9"),
        ("table", "10"),
    ]


def test_an_earlier_store_wins_where_two_have_the_same_version(tmp_path: Path) -> None:
    write_table_model(tmp_path / "a", title="First")
    write_table_model(tmp_path / "b", title="Second")
    write_table_model(tmp_path / "b", version="2")

    found = {each.key: each.manifest.title for each in Store([tmp_path / "a", tmp_path / "b"]).versions()}

    assert found == {("table", "1"): "First", ("table", "2"): "Table"}


def test_a_folder_without_a_valid_manifest_is_no_version(tmp_path: Path) -> None:
    good = write_table_model(tmp_path)
    (tmp_path / "table" / ".2").mkdir()
    (tmp_path / "table" / "3").mkdir()
    (tmp_path / "table" / "4").mkdir()
    (tmp_path / "table" / "4" / "manifest.json").write_text("{")
    (tmp_path / "table" / "5").mkdir()
    (tmp_path / "table" / "5" / "manifest.json").write_bytes((good / "manifest.json").read_bytes())
    store = Store([tmp_path])

    assert [each.manifest.version for each in store.versions()] == ["1"]
    assert [path.name for path in store.unreadable()] == ["3", "4", "5"]


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = write_image_model(tmp_path)
    manifest = read_manifest(folder)

    assert Manifest.model_validate_json(manifest.to_json()) == manifest
    assert json.loads(manifest.to_json())["schema"] == 1


@pytest.mark.parametrize("name", ["diabetes", "fashion_mnist"])
def test_a_manifest_from_before_a_field_was_added_is_written_as_it_was_read(name: str) -> None:
    path = BUILT_IN_STORE / name / "1" / "manifest.json"

    assert read_manifest(path.parent).to_json() + "\n" == path.read_text()


def test_a_manifest_may_say_how_many_of_the_best_labels_are_kept(tmp_path: Path) -> None:
    manifest = read_manifest(write_shades_model(tmp_path))

    assert (manifest.top, json.loads(manifest.to_json())["top"]) == (3, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "clairvoyance"}, "task: expected one of tabular_classification"),
        ({"labels": []}, "labels: expected at least two"),
        ({"labels": ["a", "a"]}, "labels must differ"),
        ({"labels": ["a", "b", "c"]}, "one probability per label"),
        ({"features": []}, "one per input column"),
        ({"inputs": [{"name": "x", "shape": [4, 2], "dtype": "float32"}]}, "batch dimension first"),
        ({"files": {"../model.onnx": {"sha256": "0" * 64, "size_bytes": 1}}}, "relative path"),
        ({"files": {"/etc/passwd": {"sha256": "0" * 64, "size_bytes": 1}}}, "relative path"),
        ({"name": "../evil"}, "name"),
        ({"version": "01"}, "version"),
        ({"unknown": 1}, "unknown"),
        ({"threshold": {"value": 1.5, "reason": ""}}, "threshold"),
        ({"top": 0}, "top"),
        ({"top": 2, "threshold": None}, "fewer than all 2 labels"),
        ({"top": 1}, "keeps both probabilities"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    told = json.loads((write_table_model(tmp_path) / "manifest.json").read_text())

    with pytest.raises(ValueError, match=message):
        task_of(Manifest.model_validate(told | changes))
