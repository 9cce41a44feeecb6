"""Tensors by name: what a model's graph takes and gives, how they are taken apart and put together, and their bytes."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

Tensors = Mapping[str, np.ndarray]
"""Arrays [items, ...] by the names of a manifest's inputs or outputs, in its order, all of one number of items.

Texts are arrays of objects, each a `str`: that is how ONNX Runtime takes and gives them.
"""

STRING = "string"
Described = list[list[Any]]
"""What bytes alone do not tell, for JSON: name, dtype, shape and size in bytes of each tensor."""

_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct(">I")
_KINDS = "fiub"


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """Numpy's dtype for one of a manifest."""
    return np.dtype(object if dtype == STRING else dtype)


@lru_cache(maxsize=256)
def name_of(dtype: np.dtype[Any]) -> str:
    """A manifest's word for one of numpy's dtypes."""
    return STRING if dtype.kind == "O" else dtype.name


def count_items(tensors: Tensors) -> int:
    """How many items tensors hold."""
    return len(next(iter(tensors.values())))


def size_bytes(tensors: Tensors) -> int:
    """What tensors take; of texts what their UTF-8 does, roughly."""
    return sum(
        each.nbytes if each.dtype.kind != "O" else each.nbytes + sum(map(len, each.flat))
        for each in tensors.values()
    )


def part(tensors: Tensors, start: int, stop: int) -> Tensors:
    """Some of the items; views of the arrays."""
    return {name: each[start:stop] for name, each in tensors.items()}


def joined(parts: Sequence[Tensors]) -> Tensors:
    """The items of all parts, one after another.

    Raises:
        ValueError: they differ in more than their number of items.
    """
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}


def only(tensors: Tensors) -> np.ndarray:
    """The one tensor of a graph that has no other."""
    (tensor,) = tensors.values()
    return tensor


def describe_tensors(tensors: Tensors) -> tuple[Described, list[bytes | memoryview]]:
    """What JSON tells of tensors, and their bytes, little-endian in C order; of texts those of `elements_to_bytes`."""
    described: Described = []
    pieces: list[bytes | memoryview] = []
    for name, each in tensors.items():
        piece = _bytes_of(each)
        described.append([name, name_of(each.dtype), each.shape, len(piece)])
        pieces.append(piece)
    return described, pieces


def restore_tensors(described: Described, data: memoryview) -> Tensors:
    """The tensors that were described; of numbers they are views of `data`.

    Raises:
        ValueError: the bytes are not those of such tensors.
    """
    tensors: dict[str, np.ndarray] = {}
    position = 0
    for name, dtype, shape, size in described:
        if size < 0 or position + size > len(data):
            raise ValueError(f"{name}: {size} bytes, where {len(data) - position} are left")
        tensors[str(name)] = _restore(data[position : position + size], str(dtype), shape)
        position += size
    if position != len(data):
        raise ValueError(f"{len(data) - position} bytes too many")
    return tensors


def tensors_to_bytes(tensors: Tensors) -> bytes:
    """Tensors as they are stored: a header in JSON, which the first four bytes give the length of, then their bytes."""
    described, pieces = describe_tensors(tensors)
    head = json.dumps(described, separators=(",", ":")).encode()
    return b"".join([_HEAD.pack(len(head)), head, *pieces])


def tensors_of_bytes(data: bytes) -> Tensors:
    """What `tensors_to_bytes` wrote.

    Raises:
        ValueError: it did not write this.
    """
    try:
        (length,) = _HEAD.unpack_from(data)
        start = _HEAD.size + length
        return restore_tensors(json.loads(data[_HEAD.size : start]), memoryview(data)[start:])
    except (struct.error, TypeError, RecursionError, OverflowError) as exc:
        raise ValueError("no tensors") from exc


def elements_to_bytes(elements: Iterable[bytes]) -> bytes:
    """Strings of bytes, each after its length in four bytes, little-endian (BYTES of the Open Inference Protocol)."""
    return b"".join(piece for each in elements for piece in (_LENGTH.pack(len(each)), each))


def elements_of_bytes(data: memoryview) -> list[bytes]:
    """What `elements_to_bytes` wrote.

    Raises:
        ValueError: an element is longer than what is left; it says how much is left.
    """
    elements: list[bytes] = []
    position = 0
    while position < len(data):
        start = position + _LENGTH.size
        if start > len(data) or (stop := start + _LENGTH.unpack_from(data, position)[0]) > len(data):
            raise ValueError(f"{len(data) - position} bytes at the end")
        elements.append(bytes(data[start:stop]))
        position = stop
    return elements


def texts_array(texts: Sequence[str], shape: Sequence[int]) -> np.ndarray:
    """Texts as an array of that shape: numpy would make one as wide as the widest of them all."""
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array.reshape(shape)


def _bytes_of(tensor: np.ndarray) -> bytes | memoryview:
    if tensor.dtype.kind == "O":
        return elements_to_bytes(each.encode() for each in tensor.flat)
    array = np.ascontiguousarray(tensor)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8).data


def _restore(data: memoryview, dtype: str, shape: Sequence[int]) -> np.ndarray:
    if dtype == STRING:
        texts = [each.decode() for each in elements_of_bytes(data)]
        if len(texts) != math.prod(shape):
            raise ValueError(f"{len(texts)} texts for the shape {list(shape)}")
        return texts_array(texts, shape)
    kind = np.dtype(dtype)
    if kind.kind not in _KINDS:
        raise ValueError(f"a tensor of {dtype}")
    return np.frombuffer(data, dtype=kind.newbyteorder("<")).reshape(shape).astype(kind, copy=False)
