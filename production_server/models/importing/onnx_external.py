"""What an ONNX file keeps in files beside it: read from its own folder, and from nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from onnx import ModelProto, TensorProto

from production_server.errors import InvalidInput, TooLarge
from production_server.models.importing.formats import MOST_BYTES
from production_server.shown import shown


def load_external_data(model: ModelProto, folder: Path) -> None:
    """Put the bytes of all tensors that lie beside the file into the model.

    Raises:
        InvalidInput: a file is missing, too short, or lies outside of `folder`.
        TooLarge: they are more than one message of protobuf may have.
    """
    total = 0
    for tensor in _tensors_in(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        said = {entry.key: entry.value for entry in tensor.external_data}
        data = _read(said, folder, shown(tensor.name), left=MOST_BYTES - total)
        total += len(data)
        tensor.raw_data = data
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]


def _read(said: dict[str, str], folder: Path, name: str, *, left: int) -> bytes:
    field = f"weights of {name}"
    location = said.get("location", "")
    path = _inside(location, folder, field)
    try:
        offset, size = int(said.get("offset", 0)), path.stat().st_size
        length = int(said.get("length", size - offset))
    except (OSError, ValueError) as exc:
        expected = f"the file {shown(location)} beside the model: copy both"
        raise InvalidInput.at(field, expected, "none that can be read") from exc
    if length > left:
        raise TooLarge.at(field, f"at most {MOST_BYTES / 2**30:.0f} GiB in all", "more")
    if offset < 0 or length < 0 or offset + length > size:
        raise InvalidInput.at(
            field, f"{offset + length:,} bytes in {shown(location)}", f"{size:,}: copy it again"
        )
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _inside(location: str, folder: Path, field: str) -> Path:
    """Where a file lies that is named by the model; links count as what they lead to."""
    named = PurePosixPath(location)
    if location and not named.is_absolute() and ".." not in named.parts:
        # A NUL, a name that no file system takes, and links in a circle are errors of their own.
        with suppress(OSError, ValueError, RuntimeError):
            path = (folder / named).resolve()
            # A pipe would be waited for.
            if path.is_relative_to(folder.resolve()) and (path.is_file() or not path.exists()):
                return path
    raise InvalidInput.at(field, "a file in the model's own folder", shown(location) or "nothing")


def _tensors_in(message: Any) -> Iterator[TensorProto]:
    """All tensors of a message of protobuf, wherever they stand: constants, attributes, nested graphs, functions."""
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        for each in value if field.is_repeated else (value,):
            if isinstance(each, TensorProto):
                yield each
            else:
                yield from _tensors_in(each)
