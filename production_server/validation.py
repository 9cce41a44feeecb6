"""What pydantic finds wrong, as faults: where, what was expected, what came."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from production_server.errors import Fault
from production_server.shown import describe, shown

if TYPE_CHECKING:
    from pydantic import ValidationError

# What was expected, where pydantic's own words speak of Python.
_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "an object",
    "int_type": "a whole number",
    "list_type": "a list",
    "missing": "a value",
    "extra_forbidden": "no field of this name",
    "model_type": "an object",
    "string_type": "a text",
    "string_unicode": "a text",
    "tuple_type": "a list",
}
_GOT = {"missing": "nothing", "extra_forbidden": "one"}
_BEGINNING = re.compile(r"(?:Value error, |\w+ should (?:be|have) )")


def faults_of(
    error: ValidationError, *, whole: str, within: str = "", words: Mapping[str, str] | None = None
) -> Iterator[Fault]:
    """The faults in what was validated, which is called `whole` and stands at the path `within`.

    `words` says what was expected by pydantic's type of error, where it has other names than in JSON.
    """
    expected = _EXPECTED | dict(words or {})
    for found in error.errors(include_url=False, include_context=False):
        kind = found["type"]
        yield Fault(
            path_of(found["loc"], within) or whole,
            expected.get(kind) or _BEGINNING.sub("", found["msg"], count=1),
            _GOT.get(kind) or ("nothing" if found["input"] is None else describe(found["input"])),
        )


def path_of(location: tuple[int | str, ...], within: str = "") -> str:
    """A place as the API writes it: inputs[0].glucose; pydantic's names of union members are left out."""
    path = within
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif "[" not in step:
            path += f".{shown(step)}" if path else shown(step)
    return path
