"""What each view of the API takes and answers, noted beside it; the OpenAPI document is made from these notes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Response
from pydantic import BaseModel

View = TypeVar("View", bound=Callable[..., Response])
Answer = type[BaseModel] | str
"""A JSON body's model, or the media type of another body."""


@dataclass(frozen=True, slots=True)
class Form:
    """A body as multipart/form-data."""

    fields: type[BaseModel]
    files: Mapping[str, Mapping[str, Any]]
    """What it brings beside its fields, by name, as JSON Schema has it."""
    needs: Mapping[str, Any]
    """What must be in it, as JSON Schema says that."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API."""

    summary: str
    responses: Mapping[int, Answer]
    errors: tuple[int, ...]
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    form: Form | None
    headers: tuple[str, ...]


BINARY = {"type": "string", "format": "binary"}
"""A file in a form, as JSON Schema has it."""
_NOTES: dict[Callable[..., Any], Operation] = {}


def operation(
    summary: str,
    *,
    responses: Mapping[int, Answer],
    errors: tuple[int, ...] = (),
    query: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    form: Form | None = None,
    headers: tuple[str, ...] = (),
) -> Callable[[View], View]:
    """Note what a view takes and answers; changes nothing about the view."""

    def note(view: View) -> View:
        _NOTES[view] = Operation(summary, responses, errors, query, body, form, headers)
        return view

    return note


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """What was noted for a view."""
    return _NOTES.get(view)
