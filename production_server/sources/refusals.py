"""The errors that what is no notification ends in."""

from __future__ import annotations

from production_server.errors import InvalidInput, TooLarge

CODE = "not_an_event"
TOO_MANY = "too_many"
"""The type of pydantic's error where there are more entries than may be."""
MAX_EVENTS = 10_000
"""Of one request; also the entries of any list or object that is walked through: the sender chose how many."""


def not_an_event(path: str, expected: str, got: str) -> InvalidInput:
    """The error for one fault, at `path` or in the body as a whole."""
    return InvalidInput.at(path or "body", expected, got, code=CODE)


def too_many(path: str, what: str, *, count: str) -> TooLarge:
    """The error for more entries or events than one request may bring."""
    return TooLarge.at(path or "body", f"at most {MAX_EVENTS:,} {what}", count)
