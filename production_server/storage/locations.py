"""Where objects lie, as URLs name it, and which of those places this service may read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from production_server.errors import InvalidInput

SCHEMES = ("file", "s3", "gs", "az")
WRITABLE_SCHEMES = ("s3", "gs", "az")
"""Of buckets that a store of models may lie in."""
MAX_URL = 2048
"""S3's keys have up to 1,024 bytes."""
BUCKET_RULE = "a bucket's name: 3 to 255 letters, digits, dots, hyphens and underscores"
# The widest rules that are in use: Ceph's relaxed ones, and the `$web` of Azure.
_BUCKET = re.compile(r"(?!.*\.\.)[A-Za-z0-9$][A-Za-z0-9._-]{2,254}")
_EXPECTED = "a URL such as s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder"


@dataclass(frozen=True, slots=True)
class Location:
    """One object, or all whose keys begin alike: a bucket and a key, which is taken as it is, nothing in it decoded.

    Of a directory the bucket is empty, and the key a path without the slash in front of it.
    """

    scheme: str
    bucket: str
    key: str

    @classmethod
    def parse(cls, url: str, *, field: str = "url") -> Self:
        """The location that a URL names.

        Raises:
            InvalidInput: it is none; or its key has parts, such as `..`, that somebody on the way might resolve.
        """
        scheme, separator, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        is_named = bool(bucket) != (scheme == "file")
        if not separator or scheme not in SCHEMES or not is_named or len(url) > MAX_URL or "\0" in url:
            raise InvalidInput.at(field, _EXPECTED, repr(url[:100]))
        if bucket and not is_bucket_name(bucket):
            raise InvalidInput.at(field, f"{BUCKET_RULE}, after {scheme}://", repr(bucket[:100]))
        if _is_ambiguous(key):
            raise InvalidInput.at(field, "a key without `.` and `..` as parts of it", repr(url[:100]))
        return cls(scheme, bucket, key)

    @property
    def url(self) -> str:
        """What `parse` takes."""
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key: what the file would be called in its folder."""
        return self.key.rstrip("/").rpartition("/")[2]

    @property
    def bucket_url(self) -> str:
        """The bucket that it lies in; of all folders of a machine this is one."""
        return f"{self.scheme}://{self.bucket}"

    def is_within(self, outer: Location) -> bool:
        """Whether this is `outer` or lies in it; a prefix ends where a folder's name ends."""
        if (self.scheme, self.bucket) != (outer.scheme, outer.bucket):
            return False
        folder = outer.key.rstrip("/")
        return not folder or self.key.rstrip("/") == folder or self.key.startswith(f"{folder}/")


class AllowedLocations:
    """The buckets and prefixes that an operator has named; nothing else is read, whoever asks for it."""

    def __init__(self, locations: Sequence[Location]) -> None:
        self._locations = tuple(locations)

    def containing(self, location: Location, *, field: str = "url") -> Location:
        """The allowed location that this one lies in.

        Raises:
            InvalidInput: it lies in none (code `location_not_allowed`).
        """
        for allowed in self._locations:
            if location.is_within(allowed):
                return allowed
        expected = "a place that STORAGE_ALLOW names"
        if not self._locations:
            expected += " (it names none)"
        raise InvalidInput.at(field, expected, location.url[:100], code="location_not_allowed")


def is_bucket_name(name: str) -> bool:
    """Whether any of the stores could have a bucket of that name."""
    return _BUCKET.fullmatch(name) is not None


def _is_ambiguous(key: str) -> bool:
    return any(part in {".", ".."} for part in key.split("/"))
