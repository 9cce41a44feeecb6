"""S3 and all that speak its protocol: Amazon's, Ceph's RGW, MinIO. By s3fs.

Credentials, region and endpoint are those of the environment or of the profiles that all AWS tools read:
`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_ENDPOINT_URL`, `AWS_PROFILE`, ….
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from production_server.errors import ObjectUnusable
from production_server.storage.locations import Location
from production_server.storage.objects import PAGE, too_large
from production_server.storage.remote import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, Entry, Listed, Refused

CONNECTIONS = 256
"""Of all buckets: one that keeps its share of them busy must leave some to the others."""
_REDIRECTS = {301, 302, 303, 307, 308}


class S3:
    """The dialect of S3."""

    def open(self) -> Any:
        import s3fs

        limits = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "read_timeout": READ_TIMEOUT_S,
            "max_pool_connections": CONNECTIONS,
            # Whoever asks here tries again by himself, with more patience; once is for connections kept too long.
            "retries": {"max_attempts": 1},
            "http_session_cls": _session_class(),
        }
        filesystem = s3fs.S3FileSystem(
            config_kwargs=limits, skip_instance_cache=True, use_listings_cache=False
        )
        filesystem.retries = 1
        return filesystem

    async def list(self, filesystem: Any, location: Location, *, after: str) -> Listed:
        wanted = {"Bucket": location.bucket, "Prefix": location.key, "MaxKeys": PAGE}
        if after:
            wanted["StartAfter"] = after
        answer = await filesystem._call_s3("list_objects_v2", **wanted)  # noqa: SLF001  # fsspec's way to call from a loop
        entries = [
            # Some that speak the protocol leave out what they do not know: one such object must not stop its page.
            Entry(each["Key"], str(each.get("ETag", "")).strip('"'), int(each.get("Size", 0)))
            for each in answer.get("Contents", [])
        ]
        return Listed(entries, entries[-1].key if entries else after, is_last=not answer.get("IsTruncated"))

    async def read(self, filesystem: Any, location: Location, *, etag: str, max_bytes: int) -> bytes:
        wanted = {"Bucket": location.bucket, "Key": location.key}
        if etag:
            wanted["IfMatch"] = f'"{etag}"'
        answer = await filesystem._call_s3("get_object", **wanted)  # noqa: SLF001  # as above
        async with answer["Body"] as body:
            size_bytes = answer.get("ContentLength")
            if size_bytes is None:
                raise ObjectUnusable(
                    f"{location.url}: the store does not say its size", code="object_refused"
                )
            if size_bytes > max_bytes:
                raise too_large(location, size_bytes, max_bytes)
            data: bytes = await body.read()
        return data

    def status_of(self, exc: BaseException) -> int:
        response = getattr(exc, "response", None)
        if isinstance(response, dict):
            return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        # What botocore wraps errors of its connections in.
        wrapped = getattr(exc, "kwargs", {}).get("error")
        if isinstance(wrapped, Refused):
            return wrapped.status
        return 401 if type(exc).__name__ == "NoCredentialsError" else 0


def _session_class() -> type:
    """The HTTP session of aiobotocore, less its habit to go wherever an answer points.

    An answer that names the bucket's region is left to botocore. It would ask for that region without an end where the
    answer does not.
    """
    from aiobotocore.httpsession import AIOHTTPSession

    class Staying(AIOHTTPSession):  # type: ignore[misc]  # it has no types
        async def _get_session(self, proxy_url: str | None) -> Any:
            session = await super()._get_session(proxy_url)

            async def ask(*args: Any, **options: Any) -> Any:
                answer = await session.request(*args, allow_redirects=False, **options)
                if answer.status in _REDIRECTS and "x-amz-bucket-region" not in answer.headers:
                    answer.release()
                    raise Refused(answer.status)
                return answer

            return SimpleNamespace(request=ask)

    return Staying
