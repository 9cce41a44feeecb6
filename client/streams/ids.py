"""Ids of requests: UUIDs of version 7 (RFC 9562), which tell when they were made."""

from __future__ import annotations

import secrets
import time
import uuid

_VERSION, _VARIANT = 7, 0b10


def new_id() -> str:
    """An id that nobody else has, made now."""
    milliseconds = time.time_ns() // 1_000_000
    number = milliseconds << 80 | _VERSION << 76 | secrets.randbits(12) << 64 | _VARIANT << 62
    return str(uuid.UUID(int=number | secrets.randbits(62)))


def made_at(written: str | None) -> float | None:
    """When an id was made, in seconds since the Unix epoch, to the millisecond; None: it does not say."""
    try:
        found = uuid.UUID(written or "")
    except ValueError:
        return None
    if found.version != _VERSION:
        return None
    return (found.int >> 80) / 1000
