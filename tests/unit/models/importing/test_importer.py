from __future__ import annotations

import importlib.util
import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from production_server.errors import InvalidInput, TooLarge
from production_server.models.importing.described import Described
from production_server.models.importing.importer import Request, import_file
from testing.foreign_graphs import FOREIGN_MODELS, dense


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


@pytest.mark.parametrize("content", [b"", b"a,b\n", b"\0\1\2", pickle.dumps({"a": 1}), b"PK\3\4" + bytes(40)])
def test_a_sample_that_is_no_table_is_refused_unread(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sample.npz").write_bytes(content)

    with pytest.raises(InvalidInput, match=r"^sample: expected"):
        import_file(
            request(tmp_path, FOREIGN_MODELS / "iris_pipeline.onnx", sample=tmp_path / "sample.npz"), print
        )


def test_weights_that_are_larger_than_may_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"class_name": "Sequential"}))
    (tmp_path / "w.h5").write_bytes(bytes(51))
    large = request(tmp_path, tmp_path / "model.json", weights=tmp_path / "w.h5", most_bytes=50)

    with pytest.raises(TooLarge, match=r"^weights: expected at most 50 bytes .*got 51$"):
        import_file(large, print)


def archive_of(tmp_path: Path, location: str) -> Path:
    """A zip of a graph whose kernel lies in a file beside it, of which it says that it lies there."""
    model = dense("Softmax")
    kernel = model.graph.initializer[0]
    data = kernel.raw_data or numpy_helper.to_array(kernel).tobytes()
    kernel.ClearField("raw_data")
    kernel.ClearField("float_data")
    kernel.data_location = TensorProto.EXTERNAL
    entry = kernel.external_data.add()
    entry.key, entry.value = "location", location
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("exported/model.onnx", model.SerializeToString())
        archive.writestr("exported/weights/kernel.bin", data)
        archive.writestr("elsewhere.bin", data)
    return tmp_path / "mine.zip"


def test_a_graph_comes_in_a_zip_with_the_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    asked = replace(
        request(tmp_path / "served", archive_of(tmp_path, "weights/kernel.bin")), scratch=tmp_path
    )

    imported = import_file(asked, print)

    served = onnx.load(tmp_path / "served" / "model.onnx", load_external_data=False)
    (kernel,) = (each for each in served.graph.initializer if each.name == "kernel")
    expected = dense("Softmax").graph.initializer[0]
    assert np.array_equal(numpy_helper.to_array(kernel), numpy_helper.to_array(expected))
    source = imported.manifest.source
    assert source is not None and (source.file, source.format) == ("mine.zip", "onnx")


@pytest.mark.parametrize("location", ["../elsewhere.bin", "/etc/hostname", "weights/none.bin"])
def test_of_a_zip_no_file_outside_of_the_graphs_folder_is_read(tmp_path: Path, location: str) -> None:
    with pytest.raises(InvalidInput, match=r"^weights of kernel: expected"):
        import_file(request(tmp_path, archive_of(tmp_path, location)), print)


def test_what_is_called_a_graph_in_a_zip_and_is_none_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("model.onnx", b"nothing")

    with pytest.raises(InvalidInput, match=r"^file: expected a model"):
        import_file(request(tmp_path, tmp_path / "mine.zip"), print)
