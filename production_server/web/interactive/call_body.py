"""The body of a call: read whole, on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from production_server.errors import InvalidInput, TooLarge
from production_server.web.edge.incoming import Arrival
from production_server.web.interactive.patience import ClientLeft

PATIENCE_S = 30.0
"""How long a client may take for all of a call's body: nobody waits for an answer much longer."""


async def read_body(
    headers: Mapping[str, str],
    coming: Arrival,
    *,
    limit: int,
    patience_s: float = PATIENCE_S,
) -> bytes:
    """The whole body; afterwards `coming` says how much was read.

    Raises:
        TooLarge: it is over the limit. InvalidInput: it does not come in time, or too slowly. ClientLeft: nor will it.
        Unavailable: too much is on its way, and this is the slowest.
    """
    if int(headers.get("content-length", 0)) > limit:
        raise _too_large(limit)
    with coming as arrival:
        first = await arrival.next_part()
        if arrival.is_whole and arrival.size <= limit:
            return first
        # Not a list of parts: a client may send a byte at a time, and each would take forty.
        body = bytearray(first)
        try:
            async with asyncio.timeout(patience_s):
                while not arrival.is_over and arrival.size <= limit:
                    body += await arrival.next_part()
        except TimeoutError as exc:
            detail = f"the body did not come within {patience_s:g} s"
            raise InvalidInput(detail, code="request_timeout") from exc
        if arrival.has_left:
            raise ClientLeft
        if arrival.size > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request body is over the server's limit of {limit} bytes")
