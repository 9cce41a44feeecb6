"""What a client did to a body before it sent it (Content-Encoding), undone: of calls at once, of others bit by bit."""

from __future__ import annotations

import io
import zlib

from production_server.errors import InvalidInput, TooLarge
from production_server.web.edge.readable import Readable

PIECE_BYTES = 2**16
_GZIP = b"\x1f\x8b"
_EITHER = zlib.MAX_WBITS | 32
"""zlib finds out by itself which of the two it is."""
_MEMBER = zlib.MAX_WBITS | 16


def coding_of(header: str) -> str:
    """The coding that a Content-Encoding names, in small letters; empty where it names none.

    Raises:
        InvalidInput: it names one that is not taken, or several.
    """
    named = [name for part in header.split(",") if (name := part.strip().lower()) not in {"", "identity"}]
    if not named:
        return ""
    if len(named) > 1 or named[0] not in {"gzip", "x-gzip", "deflate"}:
        raise InvalidInput(
            f"Content-Encoding: expected gzip or deflate, got {', '.join(named)[:40]}",
            code="unsupported_media_type",
        )
    return named[0]


def decompressed(body: bytes, header: str, *, limit: int) -> bytes:
    """A whole body as it was before its client compressed it.

    Raises:
        TooLarge: it is over the limit then. InvalidInput: it is damaged, or the coding is neither gzip nor deflate.
    """
    if not coding_of(header) and len(body) <= limit:
        return body
    return PlainBody(io.BytesIO(body), header, limit=limit).read()


class PlainBody:
    """A body as it was before its client compressed it, read from its stream; for one thread."""

    def __init__(self, stream: Readable, header: str, *, limit: int) -> None:
        """`header` is its Content-Encoding; nothing is read, and nothing refused, before somebody wants the body."""
        self._stream = stream
        self._header = header
        self._limit = limit
        self._coding: str | None = None
        self._decoder = zlib.decompressobj(_EITHER)
        self._raw = b""
        self._buffer = bytearray()
        self._size = 0
        self._is_empty = True
        self._is_at_end = False

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; fewer only at the end.

        Raises:
            TooLarge: it is over the limit. InvalidInput: it is damaged, or of a coding that is not taken.
        """
        if self._coding is None:
            self._coding = coding_of(self._header)
        # One byte more than is wanted: whoever wants no more than the limit learns that there is more.
        while not self._is_at_end and (size < 0 or len(self._buffer) <= size):
            self._take(self._next_piece())
        if size < 0 or size >= len(self._buffer):
            # All of it, in as few copies as there can be: it may be as large as the limit.
            piece, self._buffer = bytes(self._buffer), bytearray()
            return piece
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece

    def _take(self, piece: bytes) -> None:
        self._buffer += piece
        self._size += len(piece)
        if self._size > self._limit:
            raise TooLarge(f"the request body is over the server's limit of {self._limit} bytes")

    def _next_piece(self) -> bytes:
        raw = self._raw or self._stream.read(PIECE_BYTES)
        if not self._coding:
            self._is_at_end = not raw
            return raw
        # A request without any body is not damaged.
        self._is_at_end = not raw and self._is_empty
        if self._is_at_end:
            return b""
        self._is_empty = False
        piece = self._decompress(raw)
        if self._decoder.eof:
            self._begin_next_member()
        elif not raw and not piece:
            raise InvalidInput(f"the body is not {self._coding}: it is cut off")
        return piece

    def _decompress(self, raw: bytes) -> bytes:
        try:
            piece = self._decoder.decompress(raw, PIECE_BYTES)
        except zlib.error as exc:
            format_ = " (deflate is zlib's format, RFC 9110, 8.4.1.2)" if self._coding == "deflate" else ""
            raise InvalidInput(f"the body is not {self._coding}: {exc}{format_}") from exc
        self._raw = self._decoder.unconsumed_tail
        return piece

    def _begin_next_member(self) -> None:
        """A gzip file may be several, one behind the other (RFC 1952, 2.2); nothing else may follow."""
        rest = self._decoder.unused_data or self._stream.read(PIECE_BYTES)
        if len(rest) == 1:
            rest += self._stream.read(PIECE_BYTES)
        if not rest:
            self._is_at_end = True
        elif self._coding == "deflate" or not rest.startswith(_GZIP):
            raise InvalidInput(f"the body is not {self._coding} alone: {len(rest)} bytes follow")
        self._raw = rest
        self._decoder = zlib.decompressobj(_MEMBER)
