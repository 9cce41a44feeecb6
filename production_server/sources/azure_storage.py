"""Events of Azure Blob Storage: learn.microsoft.com/azure/event-grid/event-schema-blob-storage, as CloudEvents."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from production_server.sources.event import ObjectEvent, read_bucket, read_etag
from production_server.sources.json_fields import Field

TYPE = "Microsoft.Storage."
_URL = "a blob's URL, https://<account>.blob.core.windows.net/<container>/<blob>"


def read_azure_blob(event_name: str, data: Field) -> ObjectEvent:
    """The blob that the URL in a CloudEvent's `data` names; a container is what others call a bucket.

    Raises:
        InvalidInput: a field is missing or holds what it cannot; names it by path.
    """
    url = data.get("url", "destinationUrl")
    key = url.text(_blob_of, expected=_URL)
    return ObjectEvent(
        bucket=read_bucket(url, _container_of),
        key=key,
        etag=read_etag(data.get("eTag", "etag")),
        version_id=None,
        size_bytes=data.get("contentLength").optional_number(),
        is_created=event_name == f"{TYPE}BlobCreated",
        event_name=event_name,
        dialect="azure",
    )


def _container_of(url: str) -> str:
    return _split(url)[0]


def _blob_of(url: str) -> str:
    return _split(url)[1]


def _split(url: str) -> tuple[str, str]:
    """Container and blob.

    Raises:
        ValueError: this is not such a URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError(_URL)
    container, _, blob = parts.path.removeprefix("/").partition("/")
    return unquote(container, errors="strict"), unquote(blob, errors="strict")
