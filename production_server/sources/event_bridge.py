"""S3's events as Amazon EventBridge sends them: docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html."""

from __future__ import annotations

from pydantic import Field, TypeAdapter

from production_server.sources.event import ObjectEvent
from production_server.sources.fields import BucketName, Foreign, OptionalText, Size, Tagged, Text
from production_server.sources.sent import Sent


class _Bucket(Foreign):
    name: BucketName


class _Stored(Tagged):
    key: Text
    """Not URL-encoded, unlike that of S3's own notifications."""
    version_id: OptionalText = Field(None, alias="version-id")
    size: Size = None


class _Detail(Foreign):
    bucket: _Bucket
    object: _Stored


class _Event(Foreign):
    name: Text = Field(alias="detail-type")
    detail: _Detail


_EVENT = TypeAdapter(_Event)


def read_event_bridge(document: Sent) -> ObjectEvent:
    """One event.

    Raises:
        InvalidInput: a field is missing or holds what it cannot; names it by path.
    """
    event = document.read(_EVENT)
    stored = event.detail.object
    return ObjectEvent(
        path=document.path,
        bucket=event.detail.bucket.name,
        key=stored.key,
        etag=stored.etag,
        version_id=stored.version_id,
        size_bytes=stored.size,
        is_created=event.name == "Object Created",
        event_name=event.name,
        dialect="eventbridge",
    )
