"""Events of Google Cloud Storage: github.com/googleapis/google-cloudevents, google.events.cloud.storage.v1."""

from __future__ import annotations

from production_server.sources.event import ObjectEvent, read_bucket, read_etag, read_metadata
from production_server.sources.json_fields import Field

TYPE = "google.cloud.storage.object."


def read_google_object(event_name: str, data: Field) -> ObjectEvent:
    """The object in a CloudEvent's `data`; its generation is what Google calls the version of an object.

    Raises:
        InvalidInput: a field is missing or holds what it cannot; names it by path.
    """
    generation = data.get("generation").optional_number()
    return ObjectEvent(
        bucket=read_bucket(data.get("bucket")),
        key=data.get("name").text(),
        etag=read_etag(data.get("etag")),
        version_id=None if generation is None else str(generation),
        size_bytes=data.get("size").optional_number(),
        is_created=event_name.endswith(".finalized"),
        event_name=event_name,
        dialect="google",
        metadata=read_metadata(data.get("metadata").members()) if data.has("metadata") else {},
    )
