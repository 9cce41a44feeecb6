"""Objects as they are listed, referred to and fetched; what every kind of bucket has in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from production_server.errors import ObjectOutOfReach, ObjectUnusable
from production_server.storage.locations import Location

PAGE = 1000
"""Objects that are listed at once: the most that S3 answers to one request."""
PIECE_BYTES = 16 * 2**20
"""Of a large object so much is in memory at once."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One object as it was when somebody listed it or told of it; another one under its name has another `etag`.

    `etag` is empty and `size_bytes` 0 where they are not known: then the object counts as it is when it is fetched.
    `fault` says why it cannot be asked for; its URL is then one to read.
    """

    url: str
    etag: str = ""
    size_bytes: int = 0
    fault: str = ""

    @property
    def bucket_url(self) -> str:
        """The bucket that it lies in, as `Location.bucket_url`."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the objects of a listing, and where to go on behind them; empty: only from the beginning."""

    references: tuple[Reference, ...]
    cursor: str


class Bucket(Protocol):
    """One kind of store. Safe to share between threads."""

    def pages(self, location: Location, *, cursor: str) -> Iterator[Page]:
        """The objects at a location, page by page, from behind `cursor` on.

        Raises:
            ObjectUnusable: there is no such bucket, or it may not be listed. StorageUnavailable: it does not answer.
        """

    def fetch(self, location: Location, *, etag: str, max_bytes: int) -> bytes:
        """The bytes of an object.

        Raises:
            ObjectUnusable: it is not there any more (code `object_missing`), not what it was (`object_replaced`), may
                not be read (`object_forbidden`), is over the limit (`object_too_large`), or comes in drips
                (`object_too_slow`).
            StorageUnavailable: the store does not answer.
        """

    def pieces(self, location: Location, *, etag: str, size_bytes: int) -> Iterator[bytes]:
        """A large object of a known size, bit by bit.

        Raises:
            ObjectUnusable, StorageUnavailable: as `fetch`; it may be found out at the end that it was replaced.
        """

    def close(self) -> None:
        """End what is on its way, and ask for nothing more."""


def missing(location: Location) -> ObjectOutOfReach:
    """There is nothing there."""
    return ObjectOutOfReach(f"{location.url} does not exist", code="object_missing")


def forbidden(location: Location) -> ObjectOutOfReach:
    """The store does not let this service read it."""
    return ObjectOutOfReach(
        f"{location.url} may not be read with this service's credentials", code="object_forbidden"
    )


def replaced(location: Location) -> ObjectUnusable:
    """Something else has its name now."""
    return ObjectUnusable(f"{location.url} has been replaced since it was listed", code="object_replaced")


def too_large(location: Location, size_bytes: int, max_bytes: int) -> ObjectUnusable:
    """It is over the limit."""
    detail = f"{location.url} has {size_bytes} bytes, at most {max_bytes} are read"
    return ObjectUnusable(detail, code="object_too_large")


def unusable_name(reference: Reference) -> ObjectUnusable:
    """It can be listed, and neither stored nor asked for."""
    return ObjectUnusable(f"{reference.url}: {reference.fault}", code="object_name_unusable")


def too_slow(location: Location, limit_s: float) -> ObjectOutOfReach:
    """Its bytes came too slowly: waiting on would hold a worker."""
    return ObjectOutOfReach(f"{location.url} has not come within {limit_s:.0f} s", code="object_too_slow")
