"""Frames: what bodies travel in between a web process and a worker, over any stream of bytes.

A frame is a head, which says how long its body is, what it is, and which batch it is about, and then the body. Nothing
in it can run code, and nobody can make a reader keep more than it says.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from production_server.broker.calls import MAX_REPLY_BYTES, MAX_REQUEST_BYTES

PROTOCOL = 1
"""Of the frames and of what is in them. Who speaks another one is not spoken to."""
GREETING = b"celeriac calls %d" % PROTOCOL

_HEAD = struct.Struct(">IBQ")


class Kind(enum.IntEnum):
    """What a frame is; its key is that of a batch, of its sender's choice, or 0."""

    HELLO = 1
    """The first one, from either side: `GREETING`."""
    NUMBERS = 2
    """A batch of tensors, to a worker."""
    IMAGES = 3
    """A batch of image files, to a worker."""
    REPLY = 4
    """What a worker answers to a batch."""
    FULL = 5
    """A worker has not taken a batch: it has enough of them."""
    GOODBYE = 6
    """A worker takes no more batches, answers those that it has, and closes."""


MOST_BYTES = {
    Kind.HELLO: 64,
    Kind.NUMBERS: MAX_REQUEST_BYTES,
    Kind.IMAGES: MAX_REQUEST_BYTES,
    Kind.REPLY: MAX_REPLY_BYTES,
    Kind.FULL: 0,
    Kind.GOODBYE: 0,
}


class Frame(NamedTuple):
    """One frame; its body is a view of what was received."""

    kind: Kind
    key: int
    body: bytes | memoryview


def frame(kind: Kind, key: int = 0, body: bytes = b"") -> tuple[bytes, bytes]:
    """A frame in two pieces, for `writelines`: bodies are not copied."""
    return _HEAD.pack(len(body), kind, key), body


class FrameReader:
    """Takes frames out of a stream, as it comes, in whatever pieces."""

    def __init__(self, *kinds: Kind) -> None:
        """`kinds`: what the other side may send, after its `HELLO`."""
        self._kinds = frozenset(kinds)
        self._is_greeted = False
        self._kept = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole with this piece.

        Raises:
            ValueError: this is nothing that the other side may send; nothing more can be read.
        """
        if self._kept:
            self._kept += data
            if len(self._kept) < self._needed:
                return []
            data, self._kept = bytes(self._kept), bytearray()
        frames, rest = self._whole_frames(data)
        if rest:
            self._kept = bytearray(rest)
        return frames

    def _whole_frames(self, data: bytes) -> tuple[list[Frame], memoryview]:
        view, start, frames = memoryview(data), 0, []
        self._needed = _HEAD.size
        while len(data) - start >= _HEAD.size:
            size, number, key = _HEAD.unpack_from(data, start)
            kind = self._checked(number, size)
            stop = start + _HEAD.size + size
            if stop > len(data):
                self._needed = _HEAD.size + size
                break
            frames.append(Frame(kind, key, view[start + _HEAD.size : stop]))
            if kind is Kind.HELLO:
                self._greet(frames[-1])
            start = stop
        return frames, view[start:]

    def _checked(self, number: int, size: int) -> Kind:
        kind = Kind(number)
        if (kind not in self._kinds) if self._is_greeted else (kind is not Kind.HELLO):
            raise ValueError(f"a {kind.name} frame, where none may come")
        if size > MOST_BYTES[kind]:
            raise ValueError(f"a {kind.name} frame of {size} bytes, at most {MOST_BYTES[kind]}")
        return kind

    def _greet(self, hello: Frame) -> None:
        if hello.body != GREETING:
            raise ValueError("a greeting of another protocol")
        self._is_greeted = True
