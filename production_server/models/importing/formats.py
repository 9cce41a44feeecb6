"""What a file is, by its bytes and never by its name; what is no model that can be read is named, with what to do."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from production_server.errors import InvalidInput, TooLarge
from production_server.models.importing.archives import is_visible, opened
from production_server.models.importing.protobuf import Field, NotProtobuf, fields_of

Format = Literal["keras", "keras_hdf5", "keras_json", "savedmodel", "savedmodel_zip", "onnx", "onnx_zip"]

NEEDS_TENSORFLOW = frozenset[Format](("keras", "keras_hdf5", "keras_json", "savedmodel", "savedmodel_zip"))
EXPECTED = (
    "a model: ONNX (or a zip of it with the files beside it), .keras, .h5 of Keras, model.json with its weights, or a "
    "SavedModel (folder or zip)"
)
MOST_BYTES = 2**31 - 1
"""Protobuf reads no more as one message; a larger ONNX graph would need a second file beside it when it is served."""
SAVED_MODEL_FILE = "saved_model.pb"
ONNX_SUFFIX = ".onnx"
"""By which the graph in an archive is told from the files beside it; what it is, its bytes say."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_FIRST = 4096
"""Bytes that are looked at."""
_MOST_NAMES = 100_000
"""Of an archive; a SavedModel has tens."""
_TO_ONNX = (
    "export it to ONNX where it was made: scikit-learn by skl2onnx.to_onnx(model, X[:1]), "
    'PyTorch by torch.onnx.export(model, (x,), "model.onnx")'
)
_PICKLE = f"a pickle (as joblib and torch.save write it), which runs code when it is read: {_TO_ONNX}"
_TORCH = 'a PyTorch file (.pt, .pth): export it by torch.onnx.export(model, (x,), "model.onnx")'
_FOREIGN = {
    "a TensorFlow Lite model: convert what it was made from, or by tf2onnx --tflite": rb".{4}TFL3",
    "weights without a model (safetensors): load them where the model is, and export that to ONNX":
        rb".{8}\{\s*\"",
    "weights of a language model (GGUF), which needs another server": rb"GGUF",
    "a weights checkpoint of TensorFlow: load it where the model is, and save that": rb".{0,8}\n?model_checkpoint_path",
    _PICKLE: rb"\x80[\x02-\x05]",
    f"a compressed file (gzip, zlib, xz or bzip2): unpack it; where it is a joblib file, {_TO_ONNX}":
        rb"\x1f\x8b|\x78[\x01\x5e\x9c\xda]|\xfd7zXZ|BZh[1-9]",
    "a LightGBM model as text: export it by onnxmltools.convert_lightgbm": rb"tree\r?\nversion=",
    "PMML or other XML: export the model to ONNX where it was made": rb"(?:\xef\xbb\xbf)?\s*<\?xml",
    "HTML: what was downloaded is a page, not the file": rb"(?i:\s*<(?:!doctype html|html))",
    "a picture": rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF.{4}WEBP",
    "a PDF": rb"%PDF",
    "a pointer of Git LFS instead of the file: run `git lfs pull`": rb"version https://git-lfs",
    "a NumPy array: a model's weights need the model": rb"\x93NUMPY",
    "a tar archive: unpack it": rb".{257}ustar",
    "a 7z archive: unpack it": rb"7z\xbc\xaf",
}  # fmt: skip
# Fields of onnx.ModelProto by number, with how they are written.
_ONNX_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_ONNX_IR, _ONNX_GRAPH = 1, 7


def format_of(path: Path) -> Format:
    """What the file or folder at `path` is.

    Raises:
        InvalidInput: it is not there, empty, cut off, or something else, which is named with what to do.
    """
    if path.is_dir():
        return _of_folder(path)
    if path.exists() and not path.is_file():
        raise _unlike(f"{path.name}, which is no file")
    try:
        with path.open("rb") as file:
            size_bytes = path.stat().st_size
            return _of_file(file, size_bytes)
    except OSError as exc:
        raise _unlike(f"{path.name}, which cannot be read ({exc.strerror or type(exc).__name__})") from exc


def check_weights(kind: Format, weights: str | None) -> None:
    """See that weights, by the name of their file, came with an architecture, and with nothing else.

    Raises:
        InvalidInput: they did not.
    """
    if (weights is not None) != (kind == "keras_json"):
        expected = "the weights (.h5) of model.json" if kind == "keras_json" else "none for this file"
        raise InvalidInput.at("weights", expected, weights or "nothing")


def check_size(path: Path, most_bytes: int = MOST_BYTES, *, field: str = "file") -> None:
    """Whether a file, or all files of a folder, are small enough to be read.

    Raises:
        TooLarge: they have more than `most_bytes`.
    """
    files = path.rglob("*") if path.is_dir() else [path]
    size_bytes = sum(each.stat().st_size for each in files if each.is_file())
    if size_bytes > most_bytes:
        raise TooLarge.at(field, f"at most {most_bytes:,} bytes (IMPORT_FILE_BYTES)", f"{size_bytes:,}")


def _of_folder(path: Path) -> Format:
    if (path / SAVED_MODEL_FILE).is_file():
        return "savedmodel"
    raise _unlike(f"a folder without {SAVED_MODEL_FILE}")


def _of_file(file: BinaryIO, size_bytes: int) -> Format:
    if not size_bytes:
        raise _unlike("an empty file", code="empty_file")
    first = file.read(_FIRST)
    if first.startswith(b"PK"):
        return _of_zip(file)
    if _is_hdf5(file, first, size_bytes):
        return "keras_hdf5"
    for name, pattern in _FOREIGN.items():
        if re.match(pattern, first, re.DOTALL):
            raise _unlike(name)
    if first.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return _of_json(file)
    return _of_protobuf(file, size_bytes, first)


def _is_hdf5(file: BinaryIO, first: bytes, size_bytes: int) -> bool:
    """The signature stands at 0, or, behind a block of the user's, at 512, 1024, 2048 and so on."""
    if first.startswith(_HDF5):
        return True
    place = 512
    while place < min(size_bytes, 2**20):
        file.seek(place)
        if file.read(len(_HDF5)) == _HDF5:
            return True
        place *= 2
    return False


def _of_zip(file: BinaryIO) -> Format:
    try:
        with opened(file) as archive:
            names = archive.namelist()
    # zipfile has also let through what struct, codecs and seek say of bytes that are no archive.
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as exc:
        raise _unlike("a zip archive that is cut off or damaged: copy it again") from exc
    if len(names) > _MOST_NAMES:
        raise TooLarge.at("file", f"an archive of at most {_MOST_NAMES:,} files", f"{len(names):,}")
    if {"metadata.json", "config.json"} <= set(names):
        return "keras"
    if any(name.rpartition("/")[2] == SAVED_MODEL_FILE for name in names):
        return "savedmodel_zip"
    graphs = sum(name.endswith(ONNX_SUFFIX) and is_visible(name) for name in names)
    if graphs == 1:
        return "onnx_zip"
    raise _unlike(_in_zip(names, graphs))


def _in_zip(names: list[str], graphs: int) -> str:
    """What an archive is that is no model."""
    if graphs:
        return f"a zip archive of {graphs} ONNX files: put one into it, with the files beside it"
    if any(name.endswith(("data.pkl", "constants.pkl")) for name in names):
        return _TORCH
    if names and all(name.endswith(".npy") for name in names):
        return "arrays of NumPy (.npz): a model's weights need the model"
    return "a zip archive without a model that is known here"


def _of_json(file: BinaryIO) -> Format:
    file.seek(0)
    try:
        found = json.loads(file.read(2**26))
    except (ValueError, RecursionError) as exc:
        raise _unlike("JSON that is cut off, damaged or nested too deeply") from exc
    if isinstance(found, dict) and "class_name" in found:
        return "keras_json"
    if isinstance(found, dict) and "learner" in found:
        raise _unlike("an XGBoost model as JSON: export it by onnxmltools.convert_xgboost")
    raise _unlike("JSON that is no architecture of Keras (model.to_json() writes one)")


def _of_protobuf(file: BinaryIO, size_bytes: int, first: bytes) -> Format:
    """An ONNX file begins with the version of its format, and has a graph and nothing that ONNX does not know."""
    read: list[Field] = []
    try:
        for field in fields_of(file, size_bytes):
            read.append(field)
            if _ONNX_FIELDS.get(field.number) != field.wire_type:
                break
        else:
            return _of_whole_protobuf(read)
    except NotProtobuf as exc:
        # What no other format begins with: the version's number and the name of a producer, or the graph.
        if exc.is_cut_off and _is_like_onnx(read):
            raise _unlike("an ONNX file that is cut off: copy or export it again") from exc
    raise _unlike("text" if _is_text(first) else "other bytes")


def _of_whole_protobuf(read: list[Field]) -> Format:
    numbers = {field.number for field in read}
    if {_ONNX_IR, _ONNX_GRAPH} <= numbers:
        return "onnx"
    if numbers == {1, 2} and read[0].value == 1:
        raise _unlike(f"the {SAVED_MODEL_FILE} of a SavedModel: give the folder that it lies in")
    raise _unlike("an ONNX file without a graph" if _is_like_onnx(read) else "other bytes")


def _is_like_onnx(read: list[Field]) -> bool:
    return bool(read) and read[0].number == _ONNX_IR and 1 <= (read[0].value or 0) <= 100


def _is_text(first: bytes) -> bool:
    text = first.decode("utf-8", errors="replace").rstrip("\ufffd")
    return bool(text) and "\ufffd" not in text and all(_is_readable(text))


def _is_readable(text: str) -> Iterator[bool]:
    return (each.isprintable() or each.isspace() for each in text)


def _unlike(got: str, *, code: str | None = None) -> InvalidInput:
    return InvalidInput.at("file", EXPECTED, got, code=code)
