from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from production_server.errors import InvalidInput, TooLarge
from production_server.models.importing.formats import MOST_BYTES, check_size, format_of
from testing.foreign_graphs import dense

ONNX = dense("Softmax").SerializeToString()


def zip_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return buffer.getvalue()


def hdf5() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["kernel"] = np.zeros(3)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (ONNX, "onnx"),
        (zip_of("metadata.json", "config.json", "model.weights.h5"), "keras"),
        (hdf5(), "keras_hdf5"),
        (b"\0" * 512 + hdf5(), "keras_hdf5"),
        (json.dumps({"class_name": "Sequential", "config": []}).encode(), "keras_json"),
        (zip_of("mine/saved_model.pb", "mine/variables/variables.index"), "savedmodel_zip"),
        (zip_of("mine/model.onnx", "mine/model.onnx.data", "__MACOSX/mine/._model.onnx"), "onnx_zip"),
        (zip_of("model.onnx"), "onnx_zip"),
    ],
)
def test_the_bytes_tell_what_a_file_is_and_not_its_name(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "model.txt").write_bytes(content)

    assert format_of(tmp_path / "model.txt") == kind


def test_a_saved_model_is_a_folder_with_its_graph(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01\x12\x00")

    assert format_of(tmp_path) == "savedmodel"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "an empty file"),
        (ONNX[: len(ONNX) // 2], "an ONNX file that is cut off"),
        (zip_of("metadata.json", "config.json")[:-10], "a zip archive that is cut off"),
        (pickle.dumps({"a": 1}), "skl2onnx.to_onnx"),
        (zip_of("archive/data.pkl", "archive/data/0"), "torch.onnx.export"),
        (b"\x1c\0\0\0TFL3" + b"\0" * 40, "a TensorFlow Lite model"),
        (b"\x40\0\0\0\0\0\0\0" + b'{"weight":{}}', "safetensors"),
        (b"GGUF\x03\0\0\0", "GGUF"),
        (b"\x89PNG\r\n\x1a\n", "a picture"),
        (b"\x93NUMPY\x01\0", "a NumPy array"),
        (zip_of("a.npy", "b.npy"), "arrays of NumPy"),
        (zip_of("readme.txt"), "without a model"),
        (b"tree\nversion=v4\n", "LightGBM"),
        (b'{"learner": {}}', "XGBoost"),
        (b'{"a": ', "cut off"),
        (b"[" * 100_000, "text"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"<!DOCTYPE html><html>", "what was downloaded is a page"),
        (b"\x08\x01\x12\x00", "the saved_model.pb of a SavedModel"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"hello", "text"),
        (bytes(range(256)), "other bytes"),
    ],
)
def test_what_is_no_model_is_named_with_what_to_do(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "model.onnx").write_bytes(content)

    with pytest.raises(InvalidInput, match=r"^file: expected a model: ONNX") as caught:
        format_of(tmp_path / "model.onnx")

    assert told in caught.value.faults[0].got


@pytest.mark.parametrize("length", range(1, len(ONNX), 7))
def test_an_onnx_file_that_is_cut_off_anywhere_is_refused(tmp_path: Path, length: int) -> None:
    (tmp_path / "model.onnx").write_bytes(ONNX[:length])

    with pytest.raises(InvalidInput):
        format_of(tmp_path / "model.onnx")


def test_more_than_may_be_read_is_refused_unread(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "variables"
    folder.mkdir(parents=True)
    with (folder / "variables.data").open("wb") as file:
        file.truncate(MOST_BYTES)
    check_size(folder.parent)
    (folder.parent / "saved_model.pb").write_bytes(b"1")

    with pytest.raises(
        TooLarge,
        match=r"^file: expected at most 2,147,483,647 bytes \(IMPORT_FILE_BYTES\), got 2,147,483,648$",
    ):
        check_size(folder.parent)


def test_a_folder_without_a_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"a folder without saved_model\.pb"):
        format_of(tmp_path)


def test_of_several_graphs_in_an_archive_none_is_guessed(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_of("a.onnx", "b.onnx"))

    with pytest.raises(InvalidInput, match="a zip archive of 2 ONNX files: put one into it"):
        format_of(tmp_path / "a.zip")
