"""What people say of a model, in options and fields: the same names on the command line, over HTTP and on pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from production_server.errors import Fault, InvalidInput
from production_server.models.importing.described import Described
from production_server.models.manifest import is_model_name
from production_server.shown import describe
from production_server.validation import faults_of


def checked_name(name: str) -> str:
    """What a model may be called.

    Raises:
        InvalidInput: it may not be called so.
    """
    if not is_model_name(name):
        raise InvalidInput.at("name", "small letters, digits, '_', '.' and '-', at most 64", describe(name))
    return name


def described_by(
    description: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    whole: str,
    faults_in: Callable[[ValidationError], Sequence[Fault]] | None = None,
) -> Described:
    """What a description says, and above it what options say; those that are None say nothing.

    `features` and `labels` may be names with commas between them, `quantity` with `unit` is what a regression answers;
    all else is called as in a description. `whole` is what the description is called in faults; `faults_in` makes those
    of what stands in it, if somebody knows in which line that is.

    Raises:
        InvalidInput: it cannot be said; names the field.
    """
    given = _as_described(options)
    try:
        return Described.model_validate({**description, **given})
    except ValidationError as exc:
        faults = tuple(faults_of(exc, whole=whole, words={"dict_type": "names with values"}))
        if faults_in is not None:
            of_options = [bool(error["loc"]) and error["loc"][0] in given for error in exc.errors()]
            placed = zip(of_options, faults, faults_in(exc), strict=True)
            faults = tuple(plain if is_option else in_file for is_option, plain, in_file in placed)
        raise InvalidInput("; ".join(map(str, faults)), faults) from exc


def split_names(written: str) -> list[str]:
    """Names with commas between them; none in an empty text."""
    return [name.strip() for name in written.split(",")] if written.strip() else []


def _as_described(options: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if value is not None}
    unit, quantity = given.pop("unit", None), given.pop("quantity", None)
    if quantity or unit:
        given["quantity"] = {"name": quantity, "unit": unit}
    split = {
        name: split_names(given[name]) for name in ("features", "labels") if isinstance(given.get(name), str)
    }
    return given | split
