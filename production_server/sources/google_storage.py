"""Events of Google Cloud Storage: github.com/googleapis/google-cloudevents, google.events.cloud.storage.v1."""

from __future__ import annotations

from production_server.sources.event import ObjectEvent, read_bucket, read_metadata
from production_server.sources.json_fields import Field

TYPE = "google.cloud.storage.object."


def read_google_object(event_name: str, data: Field) -> ObjectEvent:
    """The object in a CloudEvent's `data`; its generation tells its content from any other, and names its version.

    Google's own etag also changes when only metadata do.

    Raises:
        InvalidInput: a field is missing or holds what it cannot; names it by path.
    """
    number = data.get("generation").optional_number()
    generation = None if number is None else str(number)
    return ObjectEvent(
        bucket=read_bucket(data.get("bucket")),
        key=data.get("name").text(),
        etag=generation,
        version_id=generation,
        size_bytes=data.get("size").optional_number(),
        is_created=event_name.endswith(".finalized"),
        event_name=event_name,
        dialect="google",
        metadata=read_metadata(data.get("metadata").members()) if data.has("metadata") else {},
    )
