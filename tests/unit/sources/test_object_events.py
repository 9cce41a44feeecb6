from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.sources.object_events import ObjectEvent, read_events
from tests.event_bodies import (
    AMAZON_TYPE,
    KINDS,
    TEST_EVENT,
    ceph_record,
    cloud_event,
    encode,
    event_bridge,
    minio_body,
    records,
    s3_record,
    sns,
    sqs,
)

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda key: len(key.encode()) <= 1024
)


def read(document: object) -> list[ObjectEvent]:
    return read_events(encode(document), {"content-type": "application/json"}).events


def keys_of(document: object) -> list[str]:
    return [event.key for event in read(document)]


def test_a_record_of_aws_becomes_an_event() -> None:
    (event,) = read(records(s3_record("in/cat.jpg", versionId="v1")))

    assert event == ObjectEvent(
        bucket="photos",
        key="in/cat.jpg",
        etag="abc",
        version_id="v1",
        size_bytes=9,
        is_created=True,
        event_name="ObjectCreated:Put",
        dialect="aws",
    )


def test_an_event_can_stand_in_a_set() -> None:
    events = read(records(ceph_record(), ceph_record()))

    assert len(set(events)) == 1


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("red+flower.jpg", "red flower.jpg"),
        ("Happy%20Face.jpg", "Happy Face.jpg"),
        ("a+b%2B%C3%BC%2520.jpg", "a b+ü%20.jpg"),
        ("in%2Fcat.jpg", "in/cat.jpg"),
        ("100%.jpg", "100%.jpg"),
    ],
)
def test_keys_of_aws_and_minio_are_form_encoded(sent: str, key: str) -> None:
    assert keys_of(records(s3_record(sent))) == [key]
    assert keys_of(minio_body(sent)) == [key]


@pytest.mark.parametrize("key", ["a+b.jpg", "pct%20%2B%.jpg", "a b.jpg", "ünï/写真.jpg", "nl\nx.jpg"])
def test_keys_of_ceph_and_eventbridge_are_what_they_are(key: str) -> None:
    assert keys_of(records(ceph_record(key))) == [key]
    assert keys_of(event_bridge(key=key)) == [key]


@given(key=KEYS)
def test_any_key_survives_the_encoding_of_aws(key: str) -> None:
    assert keys_of(records(s3_record(quote_plus(key)))) == [key]


@given(key=KEYS)
def test_any_key_survives_as_ceph_sends_it(key: str) -> None:
    assert keys_of(records(ceph_record(key))) == [key]


def test_a_store_that_is_not_known_writes_as_aws_does() -> None:
    anonymous = s3_record("a+b.jpg")
    del anonymous["eventSource"]

    events = read(records(s3_record("a+b.jpg", "sgws:s3"), anonymous))

    assert [(event.key, event.dialect) for event in events] == [("a b.jpg", "aws"), ("a b.jpg", "aws")]


def test_ceph_and_minio_tell_the_metadata_of_an_object() -> None:
    (ceph,), (minio,) = read(records(ceph_record())), read(minio_body())

    assert (ceph.dialect, ceph.metadata) == ("ceph", {"camera": "roof", "x-amz-date": "20261120T092125Z"})
    assert (minio.dialect, minio.metadata) == ("minio", {"camera": "roof", "content-type": "image/jpeg"})


def test_metadata_of_the_client_does_not_hide_that_of_the_store() -> None:
    pairs = [
        {"key": "content-type", "val": "text/html"},
        {"key": "x-amz-meta-content-type", "val": "image/jpeg"},
    ]

    forwards, backwards = read(records(ceph_record(metadata=pairs), ceph_record(metadata=pairs[::-1])))

    assert forwards.metadata == backwards.metadata == {"content-type": "text/html"}


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"eTag": '"abc"'}, ("abc", None, 9)),
        ({"eTag": ""}, (None, None, 9)),
        ({"eTag": '""'}, (None, None, 9)),
        ({"eTag": None, "etag": "low"}, ("low", None, 9)),
        ({"versionId": ""}, ("abc", None, 9)),
        ({"versionId": "null"}, ("abc", "null", 9)),
        ({"size": "1024"}, ("abc", None, 1024)),
        ({"size": 0}, ("abc", None, 0)),
        ({"size": ""}, ("abc", None, None)),
        ({"size": None}, ("abc", None, None)),
        ({"size": 2**63 - 1}, ("abc", None, 2**63 - 1)),
    ],
)
def test_etag_version_and_size_may_be_written_in_several_ways(
    stored: dict[str, Any], expected: tuple[object, ...]
) -> None:
    (event,) = read(records(s3_record(**stored)))

    assert (event.etag, event.version_id, event.size_bytes) == expected


@pytest.mark.parametrize(
    ("event_name", "is_created"),
    [
        ("ObjectCreated:Put", True),
        ("s3:ObjectCreated:Put", True),
        ("s3:ObjectCreated:CompleteMultipartUpload", True),
        ("ObjectCreated:Copy", True),
        ("ObjectRemoved:Delete", False),
        ("s3:ObjectRemoved:DeleteMarkerCreated", False),
        ("ObjectRestore:Completed", False),
        ("ObjectTagging:Put", False),
        ("LifecycleExpiration:Delete", False),
        ("s3:ObjectCreatedOrNot", False),
        # MinIO's, which say that something else than the content is new.
        ("s3:ObjectCreated:PutTagging", False),
        ("s3:ObjectCreated:DeleteTagging", False),
        ("s3:ObjectCreated:PutRetention", False),
        ("s3:ObjectCreated:PutLegalHold", False),
    ],
)
def test_only_new_content_counts_as_created(event_name: str, is_created: bool) -> None:
    (event,) = read(records(s3_record() | {"eventName": event_name}))

    assert (event.event_name, event.is_created) == (event_name, is_created)


def test_a_folder_marker_is_reported_as_it_is() -> None:
    (event,) = read(records(s3_record("in%2F", size=0)))

    assert (event.key, event.size_bytes, event.is_created) == ("in/", 0, True)


def test_several_records_come_in_their_order() -> None:
    assert keys_of(records(s3_record("b"), ceph_record("a"), s3_record("b"))) == ["b", "a", "b"]


def test_events_are_taken_out_of_their_envelopes() -> None:
    document = records(s3_record("1"), s3_record("2"))

    assert keys_of(sns(document)) == ["1", "2"]
    assert keys_of(sqs(document, sns(document), event_bridge(key="3"), sns(event_bridge(key="4")))) == [
        "1", "2", "1", "2", "3", "4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "is_created"),
    [
        ("Object Created", True),
        ("Object Deleted", False),
        ("Object Restore Completed", False),
        ("Object Tags Added", False),
    ],
)
def test_an_event_of_eventbridge_is_read(kind: str, is_created: bool) -> None:
    (event,) = read(event_bridge(kind))

    assert (event.bucket, event.key, event.etag, event.version_id, event.size_bytes) == (
        "photos", "in/cat.jpg", "abc", "v1", 9,
    )  # fmt: skip
    assert (event.event_name, event.is_created, event.dialect) == (kind, is_created, "eventbridge")


@pytest.mark.parametrize(
    "document",
    [
        TEST_EVENT,
        sns(TEST_EVENT),
        sqs(TEST_EVENT, sns(TEST_EVENT)),
        records(),
        {"Type": "SubscriptionConfirmation", "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?A=1"},
        {"Type": "UnsubscribeConfirmation"},
    ],
)
def test_a_test_or_a_question_whether_events_arrive_holds_none(document: object) -> None:
    assert read(document) == []


@pytest.mark.parametrize("body", KINDS.values(), ids=KINDS)
def test_each_kind_of_body_is_known_without_headers(body: object) -> None:
    events = read_events(encode(body), {}).events

    assert {(event.bucket, event.key, event.is_created) for event in events} == {
        ("photos", "in/cat.jpg", True)
    }


def test_ten_thousand_events_may_come_at_once() -> None:
    assert len(read(records(*[s3_record()] * 10_000))) == 10_000


def sns_record(message: object) -> dict[str, Any]:
    """What a function gets that a topic calls."""
    return {"EventVersion": "1.0", "EventSource": "aws:sns", "Sns": sns(message)}


@pytest.mark.parametrize(
    "document",
    [
        records(sns_record(records(s3_record()))),
        records(sns_record(event_bridge())),
        records(sns_record(TEST_EVENT), sns_record(records(s3_record()))),
        sqs(sns(event_bridge())),
        sqs(event_bridge()),
        sqs(minio_body()),
        sqs(records(ceph_record())),
        sqs(cloud_event(AMAZON_TYPE, s3_record())),
        sqs(records(s3_record()))["Records"],
        sqs(records(s3_record()))["Records"][0],
        sns_record(records(s3_record())),
        [records(s3_record())],
        [event_bridge()],
    ],
)
def test_what_services_put_around_a_notification_is_taken_off(document: object) -> None:
    assert [event.key for event in read_events(encode(document), {}).events] == ["in/cat.jpg"]


@pytest.mark.parametrize("question", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_a_topics_question_that_a_function_forwards_holds_no_event(question: str) -> None:
    asked = records({"EventSource": "aws:sns", "Sns": {"Type": question, "Token": "1"}})

    assert read_events(encode(asked), {}).events == []
