"""Records of S3's notifications, as AWS, Ceph and MinIO write them.

Formats: docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html,
docs.ceph.com/en/latest/radosgw/notifications/#events, and MinIO's, which is AWS' with its own source.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import unquote_plus

from production_server.sources.event import Dialect, ObjectEvent, read_bucket, read_etag, read_metadata
from production_server.sources.json_fields import Field

# All others, such as AWS-compatible stores that name themselves, are taken to write as AWS does.
_DIALECTS: dict[str | None, Dialect] = {"ceph:s3": "ceph", "minio:s3": "minio"}
# MinIO says that an object is created where only its tags, retention or legal hold are; its content is the old one.
_SAME_CONTENT = frozenset({"DeleteTagging", "PutLegalHold", "PutRetention", "PutTagging"})
_decode_form = partial(unquote_plus, errors="strict")


def read_s3_record(record: Field) -> ObjectEvent:
    """One of a notification's `Records`.

    AWS and MinIO send keys form-encoded. Ceph sends them as they are: decoding those would turn `a+b` into `a b`.

    Raises:
        InvalidInput: a field is missing or holds what it cannot; names it by path.
    """
    dialect = _DIALECTS.get(record.get("eventSource").optional_text(), "aws")
    event_name = record.get("eventName").text()
    s3 = record.get("s3")
    stored = s3.get("object")
    return ObjectEvent(
        bucket=read_bucket(s3.get("bucket").get("name")),
        key=stored.get("key").text(str if dialect == "ceph" else _decode_form),
        etag=read_etag(stored.get("eTag", "etag")),
        version_id=stored.get("versionId").optional_text(),
        size_bytes=stored.get("size").optional_number(),
        is_created=_is_created(event_name),
        event_name=event_name,
        dialect=dialect,
        metadata=_metadata(stored),
    )


def _is_created(event_name: str) -> bool:
    kind, _, action = event_name.removeprefix("s3:").partition(":")
    return kind == "ObjectCreated" and action not in _SAME_CONTENT


def _metadata(stored: Field) -> dict[str, str]:
    """MinIO's object by name, Ceph's list of pairs, or nothing, as from AWS."""
    if stored.has("userMetadata"):
        return read_metadata(stored.get("userMetadata").members())
    if stored.has("metadata"):
        pairs = stored.get("metadata").items()
        return read_metadata((pair.get("key").text(), pair.get("val")) for pair in pairs)
    return {}
