"""The body of a call: read whole, on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from production_server.errors import InvalidInput, TooLarge
from production_server.web.edge.bridge import Event, Receive
from production_server.web.interactive.patience import ClientLeft


async def read_body(headers: Mapping[str, str], receive: Receive, *, limit: int, patience_s: float) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is over the limit. InvalidInput: it does not come in time. ClientLeft: nor will it.
    """
    parts: list[bytes] = []
    size = 0
    if int(headers.get("content-length", 0)) > limit:
        raise TooLarge(f"the request body is over the server's limit of {limit} bytes")
    try:
        async with asyncio.timeout(patience_s):
            while True:
                event: Event = await receive()
                if event["type"] == "http.disconnect":
                    raise ClientLeft
                parts.append(event.get("body", b""))
                size += len(parts[-1])
                if size > limit:
                    raise TooLarge(f"the request body is over the server's limit of {limit} bytes")
                if not event.get("more_body", False):
                    return b"".join(parts) if len(parts) > 1 else parts[0]
    except TimeoutError as exc:
        raise InvalidInput(f"the body did not come within {patience_s:g} s", code="request_timeout") from exc
