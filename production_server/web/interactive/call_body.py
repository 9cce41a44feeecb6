"""The body of a call: read whole on the event loop, and made what it was before its client compressed it."""

from __future__ import annotations

import asyncio
import zlib
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


def decompressed(body: bytes, encoding: str, *, limit: int) -> bytes:
    """A body as it was before its client compressed it.

    Raises:
        TooLarge: it is over the limit then. InvalidInput: it is damaged, or the encoding is neither gzip nor deflate.
    """
    encoding = encoding.lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise InvalidInput(
            f"Content-Encoding: expected gzip or deflate, got {encoding[:40]}", code="unsupported_media_type"
        )
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # finds out by itself which of the two it is
    try:
        data = stream.decompress(body, limit + 1)
    except zlib.error as exc:
        raise InvalidInput(f"the body is not {encoding}: {exc}") from exc
    if len(data) > limit:
        raise TooLarge(f"the request body is over the server's limit of {limit} bytes")
    if not stream.eof:
        raise InvalidInput(f"the body is not {encoding}: it is cut off")
    if stream.unused_data:
        raise InvalidInput(f"the body is not {encoding} alone: {len(stream.unused_data)} bytes follow")
    return data
