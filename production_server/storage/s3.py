"""S3 and all that speak its protocol: Amazon's, Ceph's RGW, MinIO. By s3fs, imported when a bucket is first used.

Credentials, region and endpoint are those of the environment or of the profiles that all AWS tools read:
`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_ENDPOINT_URL`, `AWS_PROFILE`, ….
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from production_server.errors import CeleriacError, ObjectUnusable, StorageUnavailable
from production_server.storage.locations import Location
from production_server.storage.objects import (
    PAGE,
    Page,
    Reference,
    forbidden,
    missing,
    replaced,
    too_large,
    too_slow,
)

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 20
"""Between two pieces of an answer."""
FETCH_TIMEOUT_S = 120
"""For one object as a whole: who sends a byte a second does not hold a worker for ever."""
CONNECTIONS = 64
_BY_STATUS = {401: forbidden, 403: forbidden, 404: missing, 412: replaced}
_BUSY = {429, 500, 502, 503, 504}


class S3Buckets:
    """All buckets that the credentials of this process reach."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._filesystem: Any = None

    def pages(self, location: Location, *, cursor: str) -> Iterator[Page]:
        while True:
            answer = self._list(location, after=cursor)
            listed = answer.get("Contents", [])
            if listed:
                cursor = listed[-1]["Key"]
                found = (entry for entry in listed if _is_object_in(location, entry))
                yield Page(tuple(_reference(location.bucket, entry) for entry in found), cursor)
            if not answer.get("IsTruncated"):
                return

    def fetch(self, location: Location, *, etag: str, max_bytes: int) -> bytes:
        filesystem = self._opened()
        from fsspec.asyn import sync

        try:
            body: bytes = sync(filesystem.loop, _fetch, filesystem, location, etag=etag, max_bytes=max_bytes)
        except CeleriacError:
            raise
        except Exception as exc:
            raise _translated(exc, location) from exc
        return body

    def _list(self, location: Location, *, after: str) -> Mapping[str, Any]:
        wanted = {"Bucket": location.bucket, "Prefix": location.key, "MaxKeys": PAGE}
        if after:
            wanted["StartAfter"] = after
        try:
            answer: Mapping[str, Any] = self._opened().call_s3("list_objects_v2", **wanted)
        except Exception as exc:
            raise _translated(exc, location) from exc
        return answer

    def _opened(self) -> Any:
        with self._lock:
            if self._filesystem is None:
                self._filesystem = _open()
            return self._filesystem


def _open() -> Any:
    try:
        import s3fs

        from production_server.storage.s3_session import DirectSession
    except ImportError as exc:
        raise ObjectUnusable("s3:// needs the package s3fs", code="scheme_not_installed") from exc
    limits = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": READ_TIMEOUT_S,
        "max_pool_connections": CONNECTIONS,
        # Whoever asks here tries again by himself, with more patience.
        "retries": {"max_attempts": 1},
        "http_session_cls": DirectSession,
    }
    filesystem = s3fs.S3FileSystem(config_kwargs=limits, skip_instance_cache=True, use_listings_cache=False)
    filesystem.retries = 2
    return filesystem


async def _fetch(filesystem: Any, location: Location, *, etag: str, max_bytes: int) -> bytes:
    wanted = {"Bucket": location.bucket, "Key": location.key}
    if etag:
        wanted["IfMatch"] = f'"{etag}"'
    try:
        async with asyncio.timeout(FETCH_TIMEOUT_S) as deadline:
            answer = await filesystem._call_s3("get_object", **wanted)  # noqa: SLF001  # fsspec's way to call from a loop
            async with answer["Body"] as body:
                _check_size(answer.get("ContentLength"), location, max_bytes)
                data: bytes = await body.read()
    except TimeoutError as exc:
        if deadline.expired():
            raise too_slow(location, FETCH_TIMEOUT_S) from exc
        raise
    return data


def _check_size(size_bytes: int | None, location: Location, max_bytes: int) -> None:
    if size_bytes is None:
        raise ObjectUnusable(f"{location.url}: the store does not say its size", code="object_refused")
    if size_bytes > max_bytes:
        raise too_large(location, size_bytes, max_bytes)


def _reference(bucket: str, entry: Mapping[str, Any]) -> Reference:
    return Reference(f"s3://{bucket}/{entry['Key']}", str(entry["ETag"]).strip('"'), int(entry["Size"]))


def _is_object_in(location: Location, entry: Mapping[str, Any]) -> bool:
    """Whether it lies there, not only begins alike, and is none of the empty ones by which programs mark folders."""
    key: str = entry["Key"]
    is_marker = key.endswith("/") and entry["Size"] == 0
    return not is_marker and Location("s3", location.bucket, key).is_within(location)


def _translated(exc: Exception, location: Location) -> CeleriacError:
    """What s3fs raises, by the status that the store answered; it is the cause of s3fs' own exception."""
    status = _status_of(exc)
    if status in _BY_STATUS:
        return _BY_STATUS[status](location)
    if status in _BUSY:
        return StorageUnavailable(f"{location.url}: the store answers {status}")
    if status:
        return ObjectUnusable(f"{location.url}: the store answers {status}", code="object_refused")
    if isinstance(exc, PermissionError) or type(exc).__name__ == "NoCredentialsError":
        return forbidden(location)
    return StorageUnavailable(f"{location.url}: the store does not answer ({type(exc).__name__})")


def _status_of(exc: BaseException | None) -> int:
    while exc is not None:
        response = getattr(exc, "response", None)
        if isinstance(response, dict):
            return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        exc = exc.__cause__ or exc.__context__
    return 0
