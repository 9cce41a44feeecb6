"""Names of files as they can be sent, written and shown: not every one of them is text."""

from __future__ import annotations

import re

_HALF = re.compile("[\ud800-\udfff]")


def sendable(name: str) -> str:
    """`name` with percent signs for bytes that are not UTF-8, as a server writes such names in its scans."""
    return _HALF.sub(_escaped, name)


def _escaped(half: re.Match[str]) -> str:
    # In a file's name Python writes a byte that is not UTF-8 as one of these.
    is_byte = "\udc80" <= half[0] <= "\udcff"
    data = half[0].encode("utf-8", "surrogateescape" if is_byte else "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in data)
