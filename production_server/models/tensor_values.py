"""Values become tensors: JSON or raw bytes as arrays of a dtype and shape that a model takes, or an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson

from production_server.errors import InvalidInput, TooLarge
from production_server.models.manifest import TensorSpec
from production_server.models.tensors import elements_of_bytes, numpy_dtype, texts_array
from production_server.shown import describe

_NUMBERS = ({int, float}, "numbers")
_VALUES: dict[str, tuple[set[type], str]] = {
    "f": _NUMBERS, "i": _NUMBERS, "u": _NUMBERS, "b": ({bool}, "booleans"), "O": ({str}, "texts"),
}  # fmt: skip
"""What JSON writes for the kinds of numpy's dtypes."""
MAX_ELEMENTS = 2**27
"""More than any body within the limits holds; a shape is judged before anything of its size is made."""
MAX_DIMENSIONS = 32
"""To multiply the half million numbers that a body may name as its shape would take minutes."""


def tensor_of_json(
    data: object, shape: Sequence[int], dtype: np.dtype[Any], *, field: str, may_be_flat: bool = True
) -> np.ndarray:
    """Values in lists nested as the shape says, or in a flat list: numbers, booleans or texts, as the dtype has them.

    Raises:
        InvalidInput: there are other values, or more or fewer than the shape has, or some do not fit the dtype.
    """
    types, noun = _VALUES[dtype.kind]
    if not isinstance(data, list):
        raise InvalidInput.at(field, f"a list of {math.prod(shape)} {noun}", describe(data))
    is_flat = may_be_flat and not any(isinstance(each, list) for each in data[:1])
    values = _flattened(data, [math.prod(shape)] if is_flat else shape)
    if values is None:
        also = ", flat or" if may_be_flat else ""
        expected = f"{math.prod(shape)} {noun}{also} of the shape {list(shape)}"
        raise InvalidInput.at(field, expected, _counted(data))
    # numpy would make text of everything where one value is text, each as wide as the widest: 40 kB become gigabytes.
    if not set(map(type, values)) <= types:
        stranger = next(value for value in values if type(value) not in types)
        raise InvalidInput.at(field, f"{len(values)} {noun}", describe(stranger))
    if dtype.kind == "O":
        return texts_array(values, shape)
    return finite(_array(values, dtype, field=field).reshape(shape), field=field)


def plain_values(tensor: np.ndarray) -> list[Any]:
    """What JSON tells of each item, as Python's values in nested lists.

    Numbers have as many digits as tell them apart from their neighbours in their own dtype, and whole ones all.
    """
    if tensor.dtype.kind == "O":
        texts: list[Any] = tensor.tolist()
        return texts
    values: list[Any] = orjson.loads(
        orjson.dumps(np.ascontiguousarray(tensor), option=orjson.OPT_SERIALIZE_NUMPY)
    )
    return values


def batch_of_json(data: object, spec: TensorSpec, *, field: str) -> np.ndarray:
    """A list of items in nested lists; a size that the model does not fix is that of the first item.

    Raises:
        InvalidInput: it is none, or `tensor_of_json` refuses it.
    """
    if not isinstance(data, list) or not data:
        raise InvalidInput.at(field, "a list of at least one item", describe(data))
    shape, level = [len(data)], data[0]
    for size in spec.item_shape:
        is_list = isinstance(level, list) and bool(level)
        shape.append(size if size is not None else len(level) if is_list else 1)
        level = level[0] if is_list else None
    if math.prod(shape) > MAX_ELEMENTS:
        raise TooLarge.at(field, f"at most {MAX_ELEMENTS} elements", str(shape))
    return tensor_of_json(data, shape, numpy_dtype(spec.dtype), field=field, may_be_flat=False)


def tensor_of_bytes(
    data: memoryview, shape: Sequence[int], dtype: np.dtype[Any], *, field: str
) -> np.ndarray:
    """Raw values, little-endian, in C order; of numbers a view of them. Texts stand behind their lengths, in UTF-8.

    Raises:
        InvalidInput: there are more or fewer bytes than the shape takes, or values that are not finite, or no text.
    """
    if dtype.kind == "O":
        return texts_array(_texts(data, math.prod(shape), field), shape)
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise InvalidInput.at(field, f"{expected} bytes for the shape {list(shape)}", f"{len(data)} bytes")
    if dtype.kind == "b" and max(data) > 1:
        raise InvalidInput.at(field, "bytes that are 0 or 1", str(max(data)))
    tensor = np.frombuffer(data, dtype=dtype.newbyteorder("<")).reshape(shape)
    return finite(tensor.astype(dtype, copy=False), field=field)


def _texts(data: memoryview, count: int, field: str) -> list[str]:
    elements = elements_in(data, field=field)
    if len(elements) != count:
        raise InvalidInput.at(field, f"{count} elements", str(len(elements)))
    try:
        return [each.decode() for each in elements]
    except UnicodeDecodeError as exc:
        raise InvalidInput.at(field, "texts in UTF-8", f"the byte 0x{exc.object[exc.start]:02x}") from exc


def elements_in(data: memoryview, *, field: str) -> list[bytes]:
    """Byte strings, each after its length in four bytes, little-endian.

    Raises:
        InvalidInput: one is longer than what is left.
    """
    try:
        return elements_of_bytes(data)
    except ValueError as exc:
        raise InvalidInput.at(field, "elements of the lengths that they have", str(exc)) from exc


def checked_items(shape: Sequence[int], spec: TensorSpec, *, field: str) -> None:
    """Whether a shape is that of a batch of items, of which some sizes may differ from batch to batch.

    Raises:
        InvalidInput: it is not.
    """
    wanted = spec.item_shape
    if len(shape) != len(wanted) + 1 or any(
        size not in (None, given) for size, given in zip(wanted, shape[1:], strict=True)
    ):
        sizes = ["items", *("any" if size is None else str(size) for size in wanted)]
        raise InvalidInput.at(field, f"[{', '.join(sizes)}]", str(list(shape)))


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
        if set(map(type, level)) != {list} or set(map(len, level)) != {size}:
            return None
        level = list(chain.from_iterable(level))
    return level


def _array(values: list[Any], dtype: np.dtype[Any], *, field: str) -> np.ndarray:
    if dtype.kind == "b":
        return np.array(values, dtype=dtype)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            try:
                return np.array(values, dtype=dtype)
            except OverflowError as exc:
                raise InvalidInput.at(field, f"numbers that {dtype} holds", "others") from exc
    try:
        array = np.array(values)
        with np.errstate(invalid="ignore"):
            cast = array.astype(dtype)
        fits = np.array_equal(cast, array)
    except OverflowError:
        fits = False
    if not fits:
        raise InvalidInput.at(
            field, f"whole numbers from {np.iinfo(dtype).min} to {np.iinfo(dtype).max}", "others"
        )
    return cast


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
