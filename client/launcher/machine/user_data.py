"""User-data as it travels to an instance: compressed, which cloud-init undoes by itself, and in base64. Pure."""

from __future__ import annotations

import base64
import gzip

MAX_ENCODED_BYTES = 65_535
"""What OpenStack takes, after base64."""


def encode(user_data: str) -> str:
    """The text as a cloud's API takes it; the same text is always encoded alike."""
    return base64.b64encode(gzip.compress(user_data.encode(), mtime=0)).decode("ascii")


def faults_of(user_data: str) -> list[str]:
    """What keeps a cloud from taking it: its size, which is the user's. That cloud-init understands it, tests hold."""
    size = len(encode(user_data))
    if size <= MAX_ENCODED_BYTES:
        return []
    return [f"it is too large: {size} bytes, compressed and in base64, at most {MAX_ENCODED_BYTES}"]
