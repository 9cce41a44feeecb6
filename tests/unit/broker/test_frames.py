from __future__ import annotations

import contextlib
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.broker.frames import GREETING, MOST_BYTES, FrameReader, Kind, frame

SENT = [(Kind.NUMBERS, 1, b"abc"), (Kind.IMAGES, 2**64 - 1, b""), (Kind.NUMBERS, 7, bytes(3000))]


def bytes_of(*frames: tuple[Kind, int, bytes]) -> bytes:
    return b"".join(piece for each in frames for piece in frame(*each))


def greeted() -> FrameReader:
    reader = FrameReader(Kind.NUMBERS, Kind.IMAGES)
    reader.feed(bytes_of((Kind.HELLO, 0, GREETING)))
    return reader


@given(st.lists(st.integers(0, 4000)))
def test_frames_arrive_as_they_were_sent_however_the_stream_is_cut(cuts: list[int]) -> None:
    stream = bytes_of((Kind.HELLO, 0, GREETING), *SENT)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = FrameReader(Kind.NUMBERS, Kind.IMAGES)

    found = [
        (kind, key, bytes(body))
        for start, stop in pairwise(places)
        for kind, key, body in reader.feed(stream[start:stop])
    ]

    assert found == [(Kind.HELLO, 0, GREETING), *SENT]


def test_half_a_frame_is_waited_for() -> None:
    stream, reader = bytes_of(SENT[0]), greeted()

    assert reader.feed(stream[:-1]) == []
    assert [bytes(each.body) for each in reader.feed(stream[-1:])] == [b"abc"]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_frame_that_is_too_long_is_refused_before_it_has_come(kind: Kind) -> None:
    reader = FrameReader(*Kind)
    if kind is not Kind.HELLO:
        reader.feed(bytes_of((Kind.HELLO, 0, GREETING)))

    with pytest.raises(ValueError, match="bytes, at most"):
        reader.feed(struct.pack(">IBQ", MOST_BYTES[kind] + 1, kind, 1))


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\nHost: worker\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"AMQP\x00\x00\x09\x01" + bytes(20),
        bytes(13),
        bytes_of(SENT[0]),
        bytes_of((Kind.HELLO, 0, b"celeriac calls 77")),
    ],
)
def test_a_stranger_is_noticed_by_the_first_bytes(stream: bytes) -> None:
    with pytest.raises(ValueError, match=r"frame|greeting|Kind"):
        FrameReader(*Kind).feed(stream)


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.REPLY, Kind.GOODBYE, Kind.FULL])
def test_what_the_other_side_may_not_say_is_refused(kind: Kind) -> None:
    with pytest.raises(ValueError, match=f"a {kind.name} frame, where none may come"):
        greeted().feed(bytes_of((kind, 0, b"")))


@given(st.binary())
def test_whatever_comes_after_the_greeting_is_frames_or_an_error(stream: bytes) -> None:
    with contextlib.suppress(ValueError):
        greeted().feed(stream)
