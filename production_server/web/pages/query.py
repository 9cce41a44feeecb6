"""The query string of a form that was sent by GET: fields that were left empty are not there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

from flask import request
from pydantic import BaseModel

from production_server.web.api.requests import read_form

M = TypeVar("M", bound=BaseModel)


def filled() -> dict[str, str]:
    """What was filled in, as it was typed."""
    return {name: value for name, value in request.args.items() if value.strip()}


def as_typed(moment: datetime) -> str:
    """A time as such a form has it: in UTC, without saying so."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def read_filled(model: type[M]) -> M:
    """What was filled in, checked.

    Raises:
        InvalidInput: it is not what `model` describes.
    """
    return read_form(model, filled())
