"""Events of Azure Blob Storage: learn.microsoft.com/azure/event-grid/event-schema-blob-storage, as CloudEvents."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated
from urllib.parse import unquote

from pydantic import AliasChoices, BeforeValidator, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from production_server.sources.event import ObjectEvent
from production_server.sources.fields import OptionalText, Size, Tagged, check_bucket, storable
from production_server.sources.sent import Sent

TYPE = "Microsoft.Storage."
_URL = "a blob's URL, https://<account>.blob.core.windows.net/<container>/<blob>"
_ESCAPED = re.compile("%[0-9A-Fa-f]{2}")
_NEVER_ESCAPED = ("#", "?", " ")
"""What a URL whose characters are escaped has nowhere in a name."""


def _split(url: str) -> tuple[str, str]:
    """Container and blob as they stand in a URL, whose name may have characters that other URLs have none of.

    Raises:
        ValueError: this is not such a URL.
    """
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in {"http", "https"}:
        raise ValueError(_URL)
    container, _, blob = rest.partition("/")[2].partition("/")
    return container, blob


def _check_reading(blob: str) -> None:
    """Refuse what can be read in two ways.

    Raises:
        PydanticCustomError: it can; says which.
    """
    if "=" in blob.partition("?")[2]:
        readings = "`?` may begin a query, or be part of the name (then %3F)"
    elif _ESCAPED.search(blob) and any(sign in blob for sign in _NEVER_ESCAPED):
        readings = (
            "`%` may stand for itself (then %25) or for another character, as `#`, `?` and spaces do not here"
        )
    else:
        return
    raise PydanticCustomError(
        "two_readings", "a blob's URL that can be read in one way: {readings}", {"readings": readings}
    )


def _place(url: object) -> tuple[str, str]:
    """Container and blob, as they may be stored."""
    if not isinstance(url, str):
        raise PydanticCustomError("string_type", "a text")
    with_name = ""
    with suppress(ValueError):
        with_name = _split(url)[1]
    _check_reading(with_name)
    blob = storable(url, lambda url: unquote(_split(url)[1], errors="strict"), expected=_URL)
    return check_bucket(unquote(_split(url)[0], errors="strict")), blob


class _Blob(Tagged):
    place: Annotated[tuple[str, str], BeforeValidator(_place)] = Field(  # type: ignore[pydantic-alias]  # either
        validation_alias=AliasChoices("url", "destinationUrl")
    )
    size: Size = Field(None, alias="contentLength")
    api: OptionalText = None

    @property
    def is_empty_so_far(self) -> bool:
        """Whether a file was only opened, in an account with folders: its content comes, and then FlushWithClose."""
        return self.api == "CreateFile" and not self.size


_BLOB = TypeAdapter(_Blob)


def read_azure_blob(event_name: str, data: Sent) -> ObjectEvent:
    """The blob that the URL in a CloudEvent's `data` names; a container is what others call a bucket.

    Raises:
        InvalidInput: a field is missing or holds what it cannot; names it by path.
    """
    blob = data.read(_BLOB)
    container, key = blob.place
    return ObjectEvent(
        path=data.path,
        bucket=container,
        key=key,
        etag=blob.etag,
        version_id=None,
        size_bytes=blob.size,
        is_created=event_name == f"{TYPE}BlobCreated" and not blob.is_empty_so_far,
        event_name=event_name,
        dialect="azure",
    )
