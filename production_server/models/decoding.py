"""How long and in how much memory images are decoded: both are judged before any pixel is made.

A decoder that has begun is not interrupted, and need not be: its pixels, and what its format may hold beside them,
are known before and bound what one image takes (docs/adr/0027-bounds-before-work.md).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from production_server.errors import Unavailable
from production_server.models.memory import MemoryBudget

PATIENCE_S = 2.0
"""Memory that others have is waited for no longer: one image is decoded in less."""

_MEMORY = MemoryBudget(200 * 2**20)
"""The process's: 1 kB of WebP can take 290 MB, and a service with many threads decodes as many files at once."""
_UNTIL: ContextVar[float] = ContextVar("decoding_until", default=float("inf"))


@contextmanager
def decoding_until(moment: float) -> Iterator[None]:
    """In this block no image is begun after that moment of the monotonic clock, in seconds; an earlier one holds on."""
    token = _UNTIL.set(min(moment, _UNTIL.get()))
    try:
        yield
    finally:
        _UNTIL.reset(token)


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """Memory to decode one image in, which is given back at the end of the block.

    Raises:
        Unavailable: there is no time left, or others have the memory and do not give it back (code `overloaded`).
    """
    with _MEMORY.take(size_bytes, patience_s=min(PATIENCE_S, check_time())):
        yield


def check_time() -> float:
    """How many seconds are left to look at images; infinite outside of `decoding_until`.

    Raises:
        Unavailable: none (code `overloaded`).
    """
    left_s = _UNTIL.get() - time.monotonic()
    if left_s <= 0:
        raise Unavailable("there was no time left to decode all images", code="overloaded")
    return left_s
