"""Azure Blob Storage, by adlfs and the client of Microsoft's that it opens: the containers of one account.

Account and credentials are those that adlfs reads: `AZURE_STORAGE_CONNECTION_STRING`, or `AZURE_STORAGE_ACCOUNT_NAME`
with `AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_STORAGE_SAS_TOKEN`, a service principal, or whatever azure-identity finds.
"""

from __future__ import annotations

from typing import Any

from production_server.storage.locations import Location
from production_server.storage.objects import PAGE, too_large
from production_server.storage.remote import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, Entry, Listed, Refused

_ONCE = {
    "connection_timeout": CONNECT_TIMEOUT_S,
    "read_timeout": READ_TIMEOUT_S,
    "retry_total": 0,
    "permit_redirects": False,
}


class AzureBlobs:
    """The dialect of Azure Blob Storage."""

    def open(self) -> Any:
        from adlfs import AzureBlobFileSystem

        try:
            return AzureBlobFileSystem(skip_instance_cache=True, use_listings_cache=False)
        except ValueError as exc:
            # The environment names no account, or a connection string that is none.
            raise Refused(401) from exc

    async def list(self, filesystem: Any, location: Location, *, after: str) -> Listed:
        container = filesystem.service_client.get_container_client(location.bucket)
        blobs = container.list_blobs(
            name_starts_with=location.key, include=["metadata"], results_per_page=PAGE, **_ONCE
        )
        pages = blobs.by_page(continuation_token=after or None)
        page = await anext(pages)
        entries = [
            Entry(blob.name, (blob.etag or "").strip('"'), blob.size or 0)
            async for blob in page
            if not _is_folder(blob)
        ]
        following = pages.continuation_token
        # There is no cursor behind the last page: whoever must go on there gets that page again.
        return Listed(entries, following or after, is_last=not following)

    async def read(self, filesystem: Any, location: Location, *, etag: str, max_bytes: int) -> bytes:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError

        blob = filesystem.service_client.get_blob_client(location.bucket, location.key)
        wanted = {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified} if etag else {}
        try:
            stream = await blob.download_blob(decompress=False, **wanted, **_ONCE)
        except ResourceModifiedError as exc:
            # What is gone does not meet the condition, either.
            if await blob.exists(**_ONCE):
                raise
            raise Refused(404) from exc
        if stream.size > max_bytes:
            raise too_large(location, stream.size, max_bytes)
        data: bytes = await stream.readall()
        return data

    def status_of(self, exc: BaseException) -> int:
        from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

        if isinstance(exc, HttpResponseError) and exc.status_code:
            return exc.status_code
        # No answer of the store: azure-identity has found no credentials.
        return 401 if isinstance(exc, ClientAuthenticationError) else 0


def _is_folder(blob: Any) -> bool:
    """Whether it is one of the empty blobs that an account with a hierarchical namespace has for its folders."""
    return (blob.metadata or {}).get("hdi_isfolder") == "true"
