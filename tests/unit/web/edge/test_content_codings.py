"""Compressed bodies: whatever door they come through, they are what they were before."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.errors import InvalidInput, TooLarge
from production_server.web.edge.content_codings import PlainBody, coding_of, decompressed


def zipped(data: bytes, level: int = 9) -> bytes:
    """`data` as gzip, the same at any time: tests are called after it."""
    return gzip.compress(data, level, mtime=0)


TEXT = b'{"model": "table", "inputs": [[3, 7]]}'


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", ""), ("identity", ""), ("Identity, ", ""), ("gzip", "gzip"), ("GZIP ", "gzip"), (" x-gzip", "x-gzip"),
        ("Deflate", "deflate"), ("gzip, identity", "gzip"), ("identity,gzip", "gzip"), (",gzip,", "gzip"),
    ],
)  # fmt: skip
def test_a_coding_is_the_same_in_any_case_and_between_identities(header: str, coding: str) -> None:
    assert coding_of(header) == coding


@pytest.mark.parametrize(
    "header", ["br", "zstd", "gzip, gzip", "gzip, br", "compress", "gzip;q=1", "aws-chunked"]
)
def test_another_coding_is_refused_with_those_that_are_taken(header: str) -> None:
    with pytest.raises(InvalidInput, match="Content-Encoding: expected gzip or deflate, got ") as caught:
        decompressed(TEXT, header, limit=100)

    assert caught.value.code == "unsupported_media_type"


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (zipped(TEXT), "gzip"),
        (zipped(TEXT[:9]) + zipped(b"") + zipped(TEXT[9:]), "gzip"),
        (zlib.compress(TEXT), "deflate"),
        (TEXT, "identity"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000, -1])
def test_a_body_is_read_as_it_was(body: bytes, header: str, size: int) -> None:
    plain = PlainBody(Trickle(body), header, limit=100)

    pieces = list(iter(lambda: plain.read(size), b""))

    assert b"".join(pieces) == TEXT


class Trickle(io.BytesIO):
    """A body that comes a byte at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(1 if size else 0)


@pytest.mark.parametrize(
    ("body", "header", "message"),
    [
        (zipped(TEXT)[:-3], "gzip", "the body is not gzip: it is cut off"),
        (zipped(TEXT) + zipped(TEXT)[:5], "gzip", "the body is not gzip: it is cut off"),
        (zipped(TEXT) + b"x", "gzip", "the body is not gzip alone: 1 bytes follow"),
        (zipped(TEXT) + b"\x1f", "gzip", "the body is not gzip alone: 1 bytes follow"),
        (zipped(TEXT) + bytes(8), "gzip", "the body is not gzip alone: 8 bytes follow"),
        (zipped(TEXT) + TEXT, "gzip", f"the body is not gzip alone: {len(TEXT)} bytes follow"),
        (zlib.compress(TEXT) * 2, "deflate", "the body is not deflate alone: "),
        (TEXT, "gzip", "the body is not gzip: .*incorrect header"),
        (zlib.compress(TEXT)[2:-4], "deflate", "the body is not deflate: .*deflate is zlib's format"),
        (zipped(TEXT)[:-8] + bytes(8), "gzip", "the body is not gzip: .*incorrect data check"),
    ],
)
def test_a_body_that_is_damaged_is_refused_for_its_cause(body: bytes, header: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        decompressed(body, header, limit=100)

    assert caught.value.code == "invalid_input"


@pytest.mark.parametrize(
    "body", [zipped(bytes(10**7)), zipped(bytes(60)) * 2, zlib.compress(bytes(101)), bytes(101)]
)
def test_the_limit_holds_for_what_a_body_becomes(body: bytes) -> None:
    header = "" if body == bytes(101) else "deflate" if body[0] == 0x78 else "gzip"

    with pytest.raises(TooLarge, match="over the server's limit of 100 bytes"):
        decompressed(body, header, limit=100)
    with pytest.raises(TooLarge):
        PlainBody(io.BytesIO(body), header, limit=100).read(100)


@given(st.binary(max_size=300_000), st.integers(1, 9), st.sampled_from([1000, 65_536, 10**6]))
def test_any_bytes_come_back(data: bytes, level: int, size: int) -> None:
    plain = PlainBody(io.BytesIO(zipped(data * 3, level)), "gzip", limit=10**6)

    assert b"".join(iter(lambda: plain.read(size), b"")) == data * 3


def test_a_request_without_a_body_is_not_damaged() -> None:
    assert decompressed(b"", "gzip", limit=100) == b""
