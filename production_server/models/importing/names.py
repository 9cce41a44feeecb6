"""Names as manifests have them, of whatever a file or a table calls its columns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_LONGEST = 60
_OTHER = re.compile(r"[^a-z0-9_.-]+")


def plain_names(written: Sequence[str], *, otherwise: str) -> list[str]:
    """A name of small letters, digits, `_`, `.` and `-` for each; those that would be the same get numbers."""
    names: list[str] = []
    for place, text in enumerate(written, 1):
        plain = _plain(text) or f"{otherwise}_{place}"
        name, number = plain, 1
        while name in names:
            number += 1
            name = f"{plain}_{number}"
        names.append(name)
    return names


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return _OTHER.sub("_", letters).strip("_.-")[:_LONGEST]
