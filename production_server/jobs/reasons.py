"""Why something failed, as it can be stored: whatever it tells of, it must not stop its neighbours."""

from __future__ import annotations


def storable_reason(message: str) -> str:
    """`message` without what PostgreSQL or UTF-8 do not take: NUL, halves of characters."""
    return message.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
