"""One request to an ASGI application, part by part."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

Headers = Sequence[tuple[bytes, bytes]]
JSON = ((b"content-type", b"application/json"),)


class Sender:
    """One request to the whole web process: what it sends, and what it is told."""

    def __init__(
        self,
        path: str,
        *parts: bytes,
        headers: Headers = ((b"content-type", b"application/json"),),
        end: bool = True,
    ) -> None:
        self.scope: dict[str, Any] = {
            "type": "http", "method": "POST", "path": path, "headers": list(headers), "client": None,
            "query_string": b"", "http_version": "1.1",
        }  # fmt: skip
        self.parts = list(parts)
        self.taken = 0
        """How many of its parts were asked for."""
        self._end = end
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        """What comes next of it, as ASGI has it."""
        if self.taken == len(self.parts):
            await asyncio.Event().wait()
        self.taken += 1
        is_last = self._end and self.taken == len(self.parts)
        return {"type": "http.request", "body": self.parts[self.taken - 1], "more_body": not is_last}

    async def send(self, event: Any) -> None:
        """Note what it is told."""
        self.sent.append(event)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def code(self) -> str:
        return str(json.loads(self.sent[1]["body"])["code"])
