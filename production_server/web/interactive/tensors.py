"""What requests say of tensors: shapes as JSON brings them, bodies and lists of objects."""

from __future__ import annotations

import math
from typing import Any

from production_server.errors import InvalidInput, TooLarge
from production_server.models.tensor_values import MAX_DIMENSIONS, MAX_ELEMENTS
from production_server.shown import describe
from production_server.web.edge.json_bodies import json_of


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


def _described(shape: object) -> str:
    if isinstance(shape, list) and len(shape) <= 8 and all(type(size) in {int, float, str} for size in shape):
        return str(shape)[:80]
    return describe(shape)
