"""The body of a call: read whole, on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from production_server.errors import InvalidInput, TooLarge
from production_server.web.edge.incoming import Incoming, Receive
from production_server.web.interactive.patience import ClientLeft

PATIENCE_S = 30.0
"""How long a client may take for all of a call's body: nobody waits for an answer much longer."""


async def read_body(
    headers: Mapping[str, str],
    receive: Receive,
    incoming: Incoming,
    *,
    limit: int,
    patience_s: float = PATIENCE_S,
) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is over the limit. InvalidInput: it does not come in time, or too slowly. ClientLeft: nor will it.
        Unavailable: too much is on its way, and this is the slowest.
    """
    if int(headers.get("content-length", 0)) > limit:
        raise TooLarge(f"the request body is over the server's limit of {limit} bytes")
    parts: list[bytes] = []
    try:
        with incoming.arrival(receive) as arrival:
            async with asyncio.timeout(patience_s):
                while not arrival.is_whole:
                    parts.append(await arrival.next_part())
                    if arrival.has_left:
                        raise ClientLeft
                    if arrival.size > limit:
                        raise TooLarge(f"the request body is over the server's limit of {limit} bytes")
        return b"".join(parts) if len(parts) > 1 else parts[0]
    except TimeoutError as exc:
        raise InvalidInput(f"the body did not come within {patience_s:g} s", code="request_timeout") from exc
