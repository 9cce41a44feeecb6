"""The one door to objects: every location is held against what is allowed before anything is asked of a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from production_server.errors import InvalidInput
from production_server.storage.az import AzureBlobs
from production_server.storage.directory import Directory
from production_server.storage.gs import GoogleStorage
from production_server.storage.locations import AllowedLocations, Location
from production_server.storage.objects import Bucket, Page, Reference, missing, too_large, unusable_name
from production_server.storage.remote import RemoteBuckets
from production_server.storage.s3 import S3


class Storage:
    """Lists and fetches what lies in `allowed`. Safe to share between threads; connects when first asked."""

    def __init__(self, allowed: Sequence[Location]) -> None:
        self.allowed = AllowedLocations(allowed)
        folders = [location for location in allowed if location.scheme == "file"]
        self._buckets: dict[str, Bucket] = {
            "file": Directory(folders),
            "s3": RemoteBuckets("s3", S3()),
            "gs": RemoteBuckets("gs", GoogleStorage()),
            "az": RemoteBuckets("az", AzureBlobs()),
        }

    def check(self, location: Location, *, field: str = "url") -> None:
        """Whether a location may be listed or read, as far as that can be told without asking its store.

        Raises:
            InvalidInput: it is not allowed.
        """
        self.allowed.containing(location, field=field)

    def pages(self, location: Location, *, cursor: str = "") -> Iterator[Page]:
        """The objects at a location, page by page, from behind `cursor` on.

        Raises:
            InvalidInput: it is not allowed. ObjectUnusable, StorageUnavailable: as `Bucket.pages`.
        """
        self.check(location)
        return self._buckets[location.scheme].pages(location, cursor=cursor)

    def check_reference(self, reference: Reference, *, max_bytes: int) -> Location:
        """Where an object lies that may be fetched, as far as that can be told without asking its store.

        Raises:
            InvalidInput: it is not allowed (any more). ObjectUnusable: it is too large, or has no name to ask for.
        """
        if reference.fault:
            raise unusable_name(reference)
        location = Location.parse(reference.url)
        self.check(location)
        if reference.size_bytes > max_bytes:
            raise too_large(location, reference.size_bytes, max_bytes)
        return location

    def close(self) -> None:
        """End what is on its way: whoever waits for it gets `StorageUnavailable`, as whoever asks from now on does."""
        for bucket in self._buckets.values():
            bucket.close()

    def fetch(self, reference: Reference, *, max_bytes: int) -> bytes:
        """The bytes of an object.

        Raises:
            InvalidInput: it is not allowed (any more). ObjectUnusable, StorageUnavailable: as `Bucket.fetch`.
        """
        location = self.check_reference(reference, max_bytes=max_bytes)
        return self._buckets[location.scheme].fetch(location, etag=reference.etag, max_bytes=max_bytes)

    def find(self, location: Location, *, field: str = "url") -> Reference:
        """The one object that a URL names, as it is now.

        Raises:
            InvalidInput: it is not allowed, or names a folder.
            ObjectUnusable: there is none (code `object_missing`), or it may not be listed.
            StorageUnavailable: as `Bucket.pages`.
        """
        # Stores list in the order of keys, so it stands before all whose names only begin alike.
        first = next(self.pages(location), Page((), "")).references
        found = next((each for each in first if each.url == location.url), None)
        if found is None and first:
            raise InvalidInput.at(field, "the address of one file", f"{location.url[:100]}, a folder")
        if found is None:
            raise missing(location)
        return found

    def pieces(self, reference: Reference, *, max_bytes: int) -> Iterator[bytes]:
        """The bytes of a large object that was just found, bit by bit.

        Raises:
            InvalidInput, ObjectUnusable: as `check_reference`.
            ObjectUnusable, StorageUnavailable: as `Bucket.pieces`.
        """
        location = self.check_reference(reference, max_bytes=max_bytes)
        return self._buckets[location.scheme].pieces(
            location, etag=reference.etag, size_bytes=reference.size_bytes
        )
