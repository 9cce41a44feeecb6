"""Bodies of bucket notifications, one of each kind that is read, as small as their senders could have made them."""

from __future__ import annotations

import json
from typing import Any

STRUCTURED = {"content-type": "application/cloudevents+json; charset=UTF-8"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


def encode(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def s3_record(key: object = "in/cat.jpg", source: str = "aws:s3", **stored: Any) -> dict[str, Any]:
    """A record of AWS, or, with another `source`, of what writes as AWS does; `stored` changes its object."""
    return {
        "eventSource": source,
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "photos"}, "object": {"key": key, "size": 9, "eTag": "abc", **stored}},
    }


def ceph_record(key: str = "in/cat.jpg", **stored: Any) -> dict[str, Any]:
    pairs = [{"key": "x-amz-meta-camera", "val": "roof"}, {"key": "x-amz-date", "val": "20261120T092125Z"}]
    return s3_record(key, "ceph:s3", **({"versionId": "", "metadata": pairs, "tags": []} | stored))


def minio_body(key: str = "in%2Fcat.jpg", **stored: Any) -> dict[str, Any]:
    metadata = {"content-type": "image/jpeg", "X-Amz-Meta-Camera": "roof"}
    record = s3_record(key, "minio:s3", **({"userMetadata": metadata} | stored))
    name = "s3:ObjectCreated:Put"
    return {"EventName": name, "Key": "photos/in/cat.jpg", "Records": [record | {"eventName": name}]}


def records(*entries: object) -> dict[str, Any]:
    return {"Records": list(entries)}


def sns(message: object) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": json.dumps(message)}


def sqs(*messages: object) -> dict[str, Any]:
    return records(*({"eventSource": "aws:sqs", "body": json.dumps(message)} for message in messages))


def event_bridge(kind: str = "Object Created", key: str = "in/cat.jpg") -> dict[str, Any]:
    stored = {"key": key, "size": 9, "etag": "abc", "version-id": "v1", "sequencer": "61"}
    return {
        "version": "0",
        "source": "aws.s3",
        "detail-type": kind,
        "detail": {"bucket": {"name": "photos"}, "object": stored},
    }


def cloud_event(kind: str, data: object) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "/tests", "type": kind, "data": data}


def google_data(name: str = "in/cat.jpg") -> dict[str, Any]:
    return {
        "bucket": "photos",
        "name": name,
        "size": "9",
        "etag": "CAE=",
        "generation": "1587627537231057",
        "metadata": {"camera": "roof"},
    }


def azure_data(blob: str = "in/cat.jpg") -> dict[str, Any]:
    return {
        "api": "PutBlob",
        "url": f"https://account.blob.core.windows.net/photos/{blob}",
        "contentLength": 9,
        "eTag": "0x8D",
    }


TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"}
GOOGLE_TYPE = "google.cloud.storage.object.v1.finalized"
AZURE_TYPE = "Microsoft.Storage.BlobCreated"
AMAZON_TYPE = "com.amazonaws.s3.ObjectCreated:Put"

KINDS: dict[str, dict[str, Any]] = {
    "aws": records(s3_record()),
    "ceph": records(ceph_record()),
    "minio": minio_body(),
    "sns": sns(records(s3_record())),
    "sqs": sqs(records(s3_record()), sns(records(s3_record()))),
    "eventbridge": event_bridge(),
    "cloudevents-s3": cloud_event(AMAZON_TYPE, s3_record()),
    "cloudevents-google": cloud_event(GOOGLE_TYPE, google_data()),
    "cloudevents-azure": cloud_event(AZURE_TYPE, azure_data()),
}
