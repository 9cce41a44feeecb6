"""What the program for images is told: it makes a successor that takes the same images, with the same labels first."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server.errors import SettingsError
from production_server.models.registry import Registry
from production_server.retraining import own_training
from production_server.retraining.images import Images, Told
from production_server.retraining.own_training import check_can_train, command_of
from production_server.retraining.policies import Policy
from production_server.settings import Settings


def test_the_successor_takes_the_same_images_and_has_the_same_labels_first() -> None:
    before = Registry(Settings().model_stores).resolve("fashion_mnist").manifest
    assert before.image is not None

    told = Told.of(before, ["Bag", "Zebra", "Apron"], Images(epochs=3))

    assert told.labels == (*before.labels, "Apron", "Zebra")
    described = told.described
    assert (described.title, described.labels) == (before.title, told.labels)
    assert (described.image.mode, described.image.width, described.image.invert) == ("L", 28, "auto")
    assert Told.model_validate_json(told.model_dump_json()) == told


def test_it_runs_by_the_python_that_has_tensorflow(tmp_path: Path) -> None:
    settings = Settings(import_python=tmp_path / "python")

    assert command_of(settings, tmp_path / "told.json")[0] == str(tmp_path / "python")


def test_without_such_a_python_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_training, "find_spec", lambda _name: None)
    wants = {"clothes": Policy.model_validate({"model": "clothes", "train": {"images": {}}})}
    command = {"command": ["train", "{data}", "{model}"]}
    others = {"mine": Policy.model_validate({"model": "mine", "train": command})}

    with pytest.raises(SettingsError, match=r"IMPORT_PYTHON.*clothes"):
        check_can_train(wants, Settings())
    check_can_train(others, Settings())
    check_can_train(wants, Settings(import_python=Path("/opt/python")))
