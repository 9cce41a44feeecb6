"""Notifications that real stores sent are read exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from production_server.sources.object_events import ObjectEvent, read_events

CEPH = "ceph-16.2.15"


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def headers_of(delivery: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in delivery["headers"]}


def read_deliveries(path: Path) -> list[ObjectEvent]:
    """The one event of each delivery of a recording of Ceph's."""
    events = []
    for delivery in load(path)["deliveries"]:
        (event,) = read_events(delivery["body_raw"].encode(), headers_of(delivery)).events
        events.append(event)
    return events


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "aws-s3-put.lambda-go.json",
            ObjectEvent(
                bucket="sourcebucket",
                key="Happy Face.jpg",
                etag="d41d8cd98f00b204e9800998ecf8427e",
                version_id="version",
                size_bytes=1024,
                is_created=True,
                event_name="ObjectCreated:Put",
                dialect="aws",
            ),
        ),
        (
            "aws-s3-put-decodedkey.lambda-go.json",
            ObjectEvent(
                bucket="sourcebucket",
                key="Happy Face.jpg",
                etag="d41d8cd98f00b204e9800998ecf8427e",
                version_id="version",
                size_bytes=1024,
                is_created=True,
                event_name="ObjectCreated:Put",
                dialect="aws",
            ),
        ),
        (
            "aws-s3EventDeleteObject.powertools.json",
            ObjectEvent(
                bucket="lambda-artifacts-deafc19498e3f2df",
                key="b21b84d653bb07b05b1e6b33684dc11b",
                etag=None,
                version_id=None,
                size_bytes=None,
                is_created=False,
                event_name="ObjectRemoved:Delete",
                dialect="aws",
            ),
        ),
        (
            "ceph-rgw-put.docs-current.json",
            ObjectEvent(
                bucket="mybucket1",
                key="myimage1.jpg",
                etag="37b51d194a7513e45b56f6524f2d51f2",
                version_id=None,
                size_bytes=1024,
                is_created=True,
                event_name="ObjectCreated:Put",
                dialect="ceph",
            ),
        ),
        (
            "minio-webhook-put.readme.json",
            ObjectEvent(
                bucket="images",
                key="gopher.jpg",
                etag="5337769ffa594e742408ad3f30713cd7",
                version_id="1",
                size_bytes=162023,
                is_created=True,
                event_name="s3:ObjectCreated:Put",
                dialect="minio",
                metadata={"content-type": "image/jpeg"},
            ),
        ),
    ],
)
def test_a_documented_body_is_read_exactly(recordings: Path, name: str, expected: ObjectEvent) -> None:
    assert read_events((recordings / name).read_bytes(), {}).events == [expected]


def test_every_tricky_key_comes_from_ceph_as_it_was_put(recordings: Path) -> None:
    path = recordings / CEPH / "created-put-sync-tricky-keys.json"
    # The topic lets only keys that end with .jpg through.
    put = [key for key in load(path)["keys"] if key.endswith(".jpg")]

    events = read_deliveries(path)

    assert [event.key for event in events] == put
    assert len(put) == 21
    assert all(event.is_created and event.metadata["camera"] == "X100" for event in events)


@pytest.mark.parametrize(
    ("name", "key", "event_name"),
    [
        ("put", "one.jpg", "ObjectCreated:Put"),
        ("copy", "copy of one+.jpg", "ObjectCreated:Copy"),
        ("multipart", "multi part.jpg", "ObjectCreated:CompleteMultipartUpload"),
        ("delete", "one.jpg", "ObjectRemoved:Delete"),
    ],
)
def test_one_action_on_ceph_is_the_same_event_from_every_topic(
    recordings: Path, name: str, key: str, event_name: str
) -> None:
    events = read_deliveries(recordings / CEPH / f"{name}.json")

    assert len(events) >= 3
    assert len(set(events)) == 1
    assert (events[0].key, events[0].event_name, events[0].version_id) == (key, event_name, None)
    assert events[0].is_created == event_name.startswith("ObjectCreated")


def test_what_ceph_sends_again_is_read_again(recordings: Path) -> None:
    events = read_deliveries(recordings / CEPH / "persistent-poison-duplicates.json")

    assert {event.key for event in events} == {"a1", "a2", "a3", "poison"}
    assert len(set(events)) < len(events)


def test_every_recorded_request_of_ceph_is_read_as_its_json_says(recordings: Path) -> None:
    read = 0
    for path in sorted((recordings / CEPH).glob("*.json")):
        for delivery in load(path)["deliveries"]:
            if "body_raw" not in delivery:
                continue
            (event,) = read_events(delivery["body_raw"].encode(), headers_of(delivery)).events
            s3 = delivery["json"]["Records"][0]["s3"]
            assert (event.bucket, event.key, event.size_bytes, event.etag) == (
                s3["bucket"]["name"], s3["object"]["key"], int(s3["object"]["size"]), s3["object"]["eTag"],
            )  # fmt: skip
            read += 1

    assert read >= 48


def test_what_moto_sends_as_aws_would_is_read(recordings: Path) -> None:
    requests = load(recordings / "moto-5.2.5.json")["http"]

    events = [
        read_events(request["body"].encode(), {k.lower(): v for k, v in request["headers"].items()}).events
        for request in requests
    ]

    assert [[event.key for event in each] for each in events] == [[], ["a b+ü%20.jpg"], ["no.png"]]
    assert all(event.bucket == "bkt" and event.dialect == "aws" for each in events for event in each)
