"""Records of S3's notifications, as AWS, Ceph and MinIO write them.

Formats: docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html,
docs.ceph.com/en/latest/radosgw/notifications/#events, and MinIO's, which is AWS' with its own source.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar
from urllib.parse import unquote_plus

from pydantic import AfterValidator, Field, TypeAdapter

from production_server.sources.event import Dialect, ObjectEvent
from production_server.sources.fields import (
    BucketName,
    Foreign,
    Metadata,
    OptionalText,
    Pairs,
    RawText,
    Size,
    Tagged,
    Text,
    plain_metadata,
    storable,
)
from production_server.sources.sent import Sent

CEPH = "ceph:s3"
# All others, such as AWS-compatible stores that name themselves, are taken to write as AWS does.
_DIALECTS: dict[str | None, Dialect] = {CEPH: "ceph", "minio:s3": "minio"}
# MinIO says that an object is created where only its tags, retention or legal hold are; its content is the old one.
_SAME_CONTENT = frozenset({"DeleteTagging", "PutLegalHold", "PutRetention", "PutTagging"})


def _decode_form(key: str) -> str:
    return storable(key, lambda text: unquote_plus(text, errors="strict"))


Key = TypeVar("Key", bound=str)
FormKey = Annotated[RawText, AfterValidator(_decode_form)]


class _Bucket(Foreign):
    name: BucketName


class _Stored(Tagged, Generic[Key]):
    key: Key
    version_id: OptionalText = Field(None, alias="versionId")
    size: Size = None
    by_name: Metadata = Field(default_factory=dict, alias="userMetadata")
    """MinIO's."""
    pairs: Pairs = Field(default_factory=list, alias="metadata")
    """Ceph's."""


class _S3(Foreign, Generic[Key]):
    bucket: _Bucket
    object: _Stored[Key]


class _Record(Foreign, Generic[Key]):
    source: OptionalText = Field(None, alias="eventSource")
    name: Text = Field(alias="eventName")
    s3: _S3[Key]


# AWS and MinIO send keys form-encoded. Ceph sends them as they are: decoding those would turn `a+b` into `a b`.
_RECORD = TypeAdapter(_Record[FormKey])
_RECORD_OF_CEPH = TypeAdapter(_Record[Text])


def read_s3_record(record: Sent) -> ObjectEvent:
    """One of a notification's `Records`.

    Raises:
        InvalidInput, TooLarge: a field is missing or holds what it cannot; names it by path.
    """
    is_ceph = record.get("eventSource").value == CEPH
    read = record.read(_RECORD_OF_CEPH if is_ceph else _RECORD)
    stored = read.s3.object
    return ObjectEvent(
        path=record.path,
        bucket=read.s3.bucket.name,
        key=stored.key,
        etag=stored.etag,
        version_id=stored.version_id,
        size_bytes=stored.size,
        is_created=_is_created(read.name),
        event_name=read.name,
        dialect=_DIALECTS.get(read.source, "aws"),
        metadata=stored.by_name or plain_metadata((pair.key, pair.val) for pair in stored.pairs),
    )


def _is_created(event_name: str) -> bool:
    kind, _, action = event_name.removeprefix("s3:").partition(":")
    return kind == "ObjectCreated" and action not in _SAME_CONTENT
