"""How long a body each operation takes: the one list, so that no more is received than its address says."""

from __future__ import annotations

from collections.abc import Mapping

from production_server.web.edge.needs import NO_SUCH_PATH

SMALL_BYTES = 256 * 2**10
"""What is not in the list takes a few fields, or nothing. Longer bodies are received only of whom is let in."""
MAX_LOGIN_BYTES = 16 * 2**10
"""A key, and a path."""
MAX_EVENTS_BYTES = 4 * 2**20
MODEST_BYTES = MAX_EVENTS_BYTES
"""What takes no more than this brings no items, and no models."""

_LARGEST = None
"""As many as `MAX_BODY_BYTES` says."""
_MOST: Mapping[str, int | None] = {
    "jobs.submit": _LARGEST,
    "pages.submit": _LARGEST,
    "label_files.bring_file": _LARGEST,
    # Without the files of forms, which have a limit of their own.
    "imports.submit": _LARGEST,
    "pages.import_model": _LARGEST,
    "events.take": MAX_EVENTS_BYTES,
    "pages.enter": MAX_LOGIN_BYTES,
}


def most_body_bytes(operation: str | None, *, largest: int) -> int:
    """The longest body that an operation takes, or what is at no path; `largest` is that of all."""
    most = _MOST.get(operation or NO_SUCH_PATH, SMALL_BYTES)
    return largest if most is None else min(most, largest)
