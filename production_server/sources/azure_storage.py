"""Events of Azure Blob Storage: learn.microsoft.com/azure/event-grid/event-schema-blob-storage, as CloudEvents."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, BeforeValidator, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from production_server.sources.event import ObjectEvent
from production_server.sources.fields import Size, Tagged, check_bucket, storable
from production_server.sources.sent import Sent

TYPE = "Microsoft.Storage."
_URL = "a blob's URL, https://<account>.blob.core.windows.net/<container>/<blob>"


def _split(url: str) -> list[str]:
    """Container and blob.

    Raises:
        ValueError: this is not such a URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError(_URL)
    container, _, blob = parts.path.removeprefix("/").partition("/")
    return [unquote(container, errors="strict"), unquote(blob, errors="strict")]


def _place(url: object) -> tuple[str, str]:
    """Container and blob, as they may be stored."""
    if not isinstance(url, str):
        raise PydanticCustomError("string_type", "a text")
    blob = storable(url, lambda url: _split(url)[1], expected=_URL)
    return check_bucket(_split(url)[0]), blob


class _Blob(Tagged):
    place: Annotated[tuple[str, str], BeforeValidator(_place)] = Field(  # type: ignore[pydantic-alias]  # either
        validation_alias=AliasChoices("url", "destinationUrl")
    )
    size: Size = Field(None, alias="contentLength")


_BLOB = TypeAdapter(_Blob)


def read_azure_blob(event_name: str, data: Sent) -> ObjectEvent:
    """The blob that the URL in a CloudEvent's `data` names; a container is what others call a bucket.

    Raises:
        InvalidInput: a field is missing or holds what it cannot; names it by path.
    """
    blob = data.read(_BLOB)
    container, key = blob.place
    return ObjectEvent(
        bucket=container,
        key=key,
        etag=blob.etag,
        version_id=None,
        size_bytes=blob.size,
        is_created=event_name == f"{TYPE}BlobCreated",
        event_name=event_name,
        dialect="azure",
    )
