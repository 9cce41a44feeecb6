"""Tensors from outside: JSON values or raw bytes become arrays of a dtype and shape that a model takes, or an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from production_server.errors import InvalidInput, TooLarge
from production_server.shown import describe
from production_server.web.edge.json_bodies import json_of

MAX_ELEMENTS = 2**27
"""More than any body within the limits holds; a shape is judged before anything of its size is made."""
MAX_DIMENSIONS = 32
"""To multiply the half million numbers that a body may name as its shape would take minutes."""


def checked_shape(shape: object, *, field: str) -> tuple[int, ...]:
    """A shape as JSON brings it: a list of whole numbers, none below 1.

    Raises:
        InvalidInput: it is none. TooLarge: it has more elements than any request can bring.
    """
    if (
        not isinstance(shape, list)
        or not 0 < len(shape) <= MAX_DIMENSIONS
        or not all(type(size) is int and size > 0 for size in shape)
    ):
        raise InvalidInput.at(
            field, f"a list of 1 to {MAX_DIMENSIONS} whole numbers, none below 1", _described(shape)
        )
    if math.prod(shape) > MAX_ELEMENTS:
        raise TooLarge.at(field, f"at most {MAX_ELEMENTS} elements", _described(shape))
    return tuple(shape)


def checked_items(shape: Sequence[int], item_shape: Sequence[int], *, field: str) -> None:
    """Whether a shape is that of a batch of items.

    Raises:
        InvalidInput: it is not.
    """
    if len(shape) != len(item_shape) + 1 or tuple(shape[1:]) != tuple(item_shape):
        raise InvalidInput.at(field, str(["items", *item_shape]).replace("'", ""), str(list(shape)))


def json_object(data: bytes, what: str) -> dict[str, Any]:
    """A body that is a JSON object.

    Raises:
        InvalidInput: it is not JSON (code `malformed_json`), or something else.
    """
    value = json_of(data, what)
    if not isinstance(value, dict):
        raise InvalidInput.at(what, "a JSON object", describe(value))
    return value


def checked_objects(given: object, what: str, *, field: str) -> list[dict[str, Any]]:
    """A list of objects, which are called `what`.

    Raises:
        InvalidInput: it is none, or one of them is not.
    """
    if not isinstance(given, list):
        raise InvalidInput.at(field, f"a list of {what}", describe(given))
    for place, each in enumerate(given):
        if not isinstance(each, dict):
            raise InvalidInput.at(f"{field}[{place}]", "an object", describe(each))
    return given


def tensor_of_json(
    data: object, shape: Sequence[int], dtype: np.dtype[Any], *, field: str, may_be_flat: bool = True
) -> np.ndarray:
    """Numbers in lists nested as the shape says, or in a flat list.

    Raises:
        InvalidInput: there are other values, or more or fewer than the shape has, or some do not fit the dtype.
    """
    if not isinstance(data, list):
        raise InvalidInput.at(field, f"a list of {math.prod(shape)} numbers", describe(data))
    is_flat = may_be_flat and not any(isinstance(each, list) for each in data[:1])
    numbers = _flattened(data, [math.prod(shape)] if is_flat else shape)
    if numbers is None:
        also = ", flat or" if may_be_flat else ""
        expected = f"{math.prod(shape)} numbers{also} of the shape {list(shape)}"
        raise InvalidInput.at(field, expected, _counted(data))
    # numpy would make text of everything where one value is text, each as wide as the widest: 40 kB become gigabytes.
    if not set(map(type, numbers)) <= {int, float}:
        raise InvalidInput.at(field, f"{len(numbers)} numbers", _first_stranger(numbers))
    return finite(_array(numbers, dtype, field=field).reshape(shape), field=field)


def tensor_of_bytes(
    data: memoryview, shape: Sequence[int], dtype: np.dtype[Any], *, field: str
) -> np.ndarray:
    """Raw numbers, little-endian, in C order; a view of them.

    Raises:
        InvalidInput: there are more or fewer bytes than the shape takes, or values that are not finite.
    """
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise InvalidInput.at(field, f"{expected} bytes for the shape {list(shape)}", f"{len(data)} bytes")
    tensor = np.frombuffer(data, dtype=dtype.newbyteorder("<")).reshape(shape)
    return finite(tensor.astype(dtype, copy=False), field=field)


def finite(tensor: np.ndarray, *, field: str) -> np.ndarray:
    """The tensor, if all its values are finite.

    Raises:
        InvalidInput: one is not; it says which.
    """
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        place = tuple(int(index) for index in np.argwhere(~np.isfinite(tensor))[0])
        raise InvalidInput.at(f"{field}{list(place)}", "a finite number", describe(float(tensor[place])))
    return tensor


def _flattened(data: list[Any], shape: Sequence[int]) -> list[Any] | None:
    """What lists nested as the shape says hold, in order; None if they are not."""
    if len(data) != shape[0]:
        return None
    level = data
    for size in shape[1:]:
        try:
            sizes = set(map(len, level))
        except TypeError:
            return None
        if sizes != {size}:
            return None
        level = list(chain.from_iterable(level))
    return level


def _array(numbers: list[int | float], dtype: np.dtype[Any], *, field: str) -> np.ndarray:
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.array(numbers, dtype=dtype)
    array = np.array(numbers)
    with np.errstate(invalid="ignore"):
        cast = array.astype(dtype)
    if not np.array_equal(cast, array):
        raise InvalidInput.at(
            field, f"whole numbers from {np.iinfo(dtype).min} to {np.iinfo(dtype).max}", "others"
        )
    return cast


def _first_stranger(values: list[Any]) -> str:
    """The first value that is no number."""
    return describe(next(value for value in values if type(value) not in {int, float}))


def _counted(data: list[Any]) -> str:
    """How many values lists hold, and in which shape, as far as the first of each level tells."""
    shape: list[int] = []
    level: Any = data
    while isinstance(level, list) and len(shape) < MAX_DIMENSIONS:
        shape.append(len(level))
        level = level[0] if level else None
    if _flattened(data, shape) is None:
        return "lists of different lengths"
    return str(shape[0]) if len(shape) == 1 else f"{math.prod(shape)} of the shape {shape}"


def _described(shape: object) -> str:
    if isinstance(shape, list) and len(shape) <= 8 and all(type(size) in {int, float, str} for size in shape):
        return str(shape)[:80]
    return describe(shape)
