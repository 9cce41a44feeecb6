"""What log lines say beside their message: which request, job or worker they are about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

_FIELDS: ContextVar[Mapping[str, str]] = ContextVar("work in hand", default=MappingProxyType({}))


def work_in_hand() -> Mapping[str, str]:
    """What this thread works on: `request_id`, `job`."""
    return _FIELDS.get()


@contextmanager
def working_on(**fields: str) -> Iterator[None]:
    """While this thread works on that; log lines say so."""
    before = _FIELDS.set({**_FIELDS.get(), **fields})
    try:
        yield
    finally:
        _FIELDS.reset(before)
