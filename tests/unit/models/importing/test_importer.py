from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from production_server.errors import InvalidInput
from production_server.models.importing.described import Described
from production_server.models.importing.importer import Request, import_file
from testing.foreign_graphs import FOREIGN_MODELS


def request(folder: Path, file: Path, **more: Any) -> Request:
    return Request(file=file, into=folder, scratch=folder, name="mine", described=Described(), **more)


def test_a_file_of_keras_needs_a_python_with_tensorflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"class_name": "Sequential"}))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(InvalidInput, match="make import ARGS"):
        import_file(request(tmp_path, tmp_path / "model.json"), print)


@pytest.mark.parametrize(
    ("with_weights", "told"),
    [(False, r"the weights \(.h5\) of model.json, got nothing"), (True, "none for this")],
)
def test_weights_go_with_an_architecture_alone(tmp_path: Path, with_weights: bool, told: str) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"class_name": "Sequential"}))
    file = FOREIGN_MODELS / "iris_pipeline.onnx" if with_weights else tmp_path / "model.json"

    with pytest.raises(InvalidInput, match=told):
        import_file(request(tmp_path, file, weights=tmp_path / "w.h5" if with_weights else None), print)
