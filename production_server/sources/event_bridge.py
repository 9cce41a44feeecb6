"""S3's events as Amazon EventBridge sends them: docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html."""

from __future__ import annotations

from production_server.sources.event import ObjectEvent, read_bucket, read_etag
from production_server.sources.json_fields import Field


def read_event_bridge(document: Field) -> ObjectEvent:
    """One event; its key is not URL-encoded, unlike that of S3's own notifications.

    Raises:
        InvalidInput: a field is missing or holds what it cannot; names it by path.
    """
    event_name = document.get("detail-type").text()
    detail = document.get("detail")
    stored = detail.get("object")
    return ObjectEvent(
        bucket=read_bucket(detail.get("bucket").get("name")),
        key=stored.get("key").text(),
        etag=read_etag(stored.get("etag", "eTag")),
        version_id=stored.get("version-id").optional_text(),
        size_bytes=stored.get("size").optional_number(),
        is_created=event_name == "Object Created",
        event_name=event_name,
        dialect="eventbridge",
    )
