"""Tensors from outside: JSON values or raw bytes become arrays of a dtype and shape that a model takes, or an error."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from production_server.errors import Fault, InvalidInput, TooLarge
from production_server.models.tabular import describe

MAX_ELEMENTS = 2**27
"""More than any body within the limits holds; a shape is judged before anything of its size is made."""


def fault(field: str, expected: str, got: str) -> InvalidInput:
    """The error that names one field."""
    found = Fault(field, expected, got)
    return InvalidInput(str(found), (found,))


def checked_shape(shape: object, *, field: str) -> tuple[int, ...]:
    """A shape as JSON brings it: a list of whole numbers, none below 1.

    Raises:
        InvalidInput: it is none. TooLarge: it has more elements than any request can bring.
    """
    if not isinstance(shape, list) or not shape or not all(type(size) is int and size > 0 for size in shape):
        raise fault(field, "a list of whole numbers, none below 1", _described(shape))
    if math.prod(shape) > MAX_ELEMENTS:
        found = Fault(field, f"at most {MAX_ELEMENTS} elements", _described(shape))
        raise TooLarge(str(found), (found,))
    return tuple(shape)


def checked_items(shape: Sequence[int], item_shape: Sequence[int], *, field: str) -> None:
    """Whether a shape is that of a batch of items.

    Raises:
        InvalidInput: it is not.
    """
    if len(shape) != len(item_shape) + 1 or tuple(shape[1:]) != tuple(item_shape):
        raise fault(field, str(["items", *item_shape]).replace("'", ""), str(list(shape)))


def json_object(data: bytes, what: str) -> dict[str, Any]:
    """A body that is a JSON object.

    Raises:
        InvalidInput: it is not JSON (code `malformed_json`), or something else.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise InvalidInput(f"{what} is not JSON: {exc}", code="malformed_json") from exc
    if not isinstance(value, dict):
        raise fault(what, "a JSON object", describe(value))
    return value


def image_of_base64(text: object, *, field: str) -> bytes:
    """An image file, as JSON has it.

    Raises:
        InvalidInput: it is not Base64 (RFC 4648, section 4).
    """
    try:
        return base64.b64decode(text, validate=True)  # type: ignore[arg-type]  # a TypeError is an answer, too
    except (TypeError, ValueError) as exc:
        raise fault(field, "an image file in Base64", describe(text)) from exc


def tensor_of_json(
    data: object, shape: Sequence[int], dtype: np.dtype[Any], *, field: str, may_be_flat: bool = True
) -> np.ndarray:
    """Numbers in lists nested as the shape says, or in a flat list.

    Raises:
        InvalidInput: there are other values, or more or fewer than the shape has, or some do not fit the dtype.
    """
    expected = math.prod(shape)
    if not isinstance(data, list):
        raise fault(field, f"a list of {expected} numbers", describe(data))
    try:
        array = np.array(data)
    except ValueError as exc:
        raise fault(
            field, f"numbers in lists of the shape {list(shape)}", "lists of different lengths"
        ) from exc
    if array.dtype.kind not in "iuf":
        raise fault(field, f"{expected} numbers", _first_stranger(data))
    if array.shape != tuple(shape) and not (may_be_flat and array.shape == (expected,)):
        also = ", flat or" if may_be_flat else ""
        raise fault(field, f"{expected} numbers{also} of the shape {list(shape)}", _counted(array))
    return finite(_cast(array, dtype, field=field).reshape(shape), field=field)


def tensor_of_bytes(
    data: memoryview, shape: Sequence[int], dtype: np.dtype[Any], *, field: str
) -> np.ndarray:
    """Raw numbers, little-endian, in C order; a view of them.

    Raises:
        InvalidInput: there are more or fewer bytes than the shape takes, or values that are not finite.
    """
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise fault(field, f"{expected} bytes for the shape {list(shape)}", f"{len(data)} bytes")
    tensor = np.frombuffer(data, dtype=dtype.newbyteorder("<")).reshape(shape)
    return finite(tensor.astype(dtype, copy=False), field=field)


def finite(tensor: np.ndarray, *, field: str) -> np.ndarray:
    """The tensor, if all its values are finite.

    Raises:
        InvalidInput: one is not; it says which.
    """
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        place = tuple(int(index) for index in np.argwhere(~np.isfinite(tensor))[0])
        raise fault(f"{field}{list(place)}", "a finite number", describe(float(tensor[place])))
    return tensor


def _cast(array: np.ndarray, dtype: np.dtype[Any], *, field: str) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(dtype, copy=False)
    if dtype.kind in "iu" and not np.array_equal(cast, array):
        raise fault(field, f"whole numbers from {np.iinfo(dtype).min} to {np.iinfo(dtype).max}", "others")
    return cast


def _first_stranger(data: object) -> str:
    """The first value in nested lists that is no number."""
    while isinstance(data, list):
        data = next((value for value in data if type(value) not in {int, float}), None)
    return describe(data)


def _counted(array: np.ndarray) -> str:
    return f"{array.size}" if array.ndim == 1 else f"{array.size} of the shape {list(array.shape)}"


def _described(shape: object) -> str:
    if isinstance(shape, list) and len(shape) <= 8 and all(type(size) in {int, float, str} for size in shape):
        return str(shape)[:80]
    return describe(shape)
