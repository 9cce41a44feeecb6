"""What is asked of a body's stream."""

from __future__ import annotations

from typing import Protocol


class Readable(Protocol):
    """What Werkzeug asks of a body's stream."""

    def read(self, size: int = -1, /) -> bytes: ...
