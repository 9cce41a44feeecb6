from __future__ import annotations

import base64
from typing import Any

import pytest

from production_server.errors import InvalidInput
from production_server.sources.object_events import ObjectEvent, read_events
from tests.event_bodies import (
    AMAZON_TYPE,
    AZURE_TYPE,
    BATCH,
    GOOGLE_TYPE,
    STRUCTURED,
    azure_data,
    ceph_record,
    cloud_event,
    encode,
    google_data,
    records,
    s3_record,
)

CEPH_TYPE = "com.amazonaws.ObjectCreated:Put"


def binary(kind: str, **headers: str) -> dict[str, str]:
    return {"content-type": "application/json", "ce-specversion": "1.0", "ce-type": kind, **headers}


def read_one(document: object, headers: dict[str, str]) -> ObjectEvent:
    (event,) = read_events(encode(document), headers).events
    return event


def fault_of(document: object, headers: dict[str, str]) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_events(encode(document), headers)
    (fault,) = caught.value.faults
    assert caught.value.code == "not_an_event"
    return str(fault)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (AMAZON_TYPE, records(s3_record())),
        (CEPH_TYPE, ceph_record()),
        (GOOGLE_TYPE, google_data()),
        (AZURE_TYPE, azure_data()),
    ],
)
def test_an_event_is_the_same_in_the_body_in_headers_in_base64_and_in_a_batch(
    kind: str, data: dict[str, Any]
) -> None:
    structured = cloud_event(kind, data)
    packed = {**structured, "data": None, "data_base64": base64.b64encode(encode(data)).decode()}

    events = [
        read_one(structured, STRUCTURED),
        read_one(structured, {"content-type": "application/json"}),
        read_one(data, binary(kind)),
        read_one(packed, STRUCTURED),
        *read_events(encode([structured, structured]), BATCH).events,
    ]

    assert len(events) == 6
    assert all(event == events[0] for event in events)


def test_ceph_puts_its_key_raw_into_a_header_that_is_not_read() -> None:
    headers = binary(CEPH_TYPE, **{"ce-subject": "nl\nx %ff.jpg", "ce-source": "ceph:s3..photos"})

    event = read_one(records(ceph_record("a+b%20.jpg")), headers)

    assert (event.key, event.dialect, event.is_created) == ("a+b%20.jpg", "ceph", True)


@pytest.mark.parametrize("kind", [GOOGLE_TYPE.replace(".", "%2E"), f'"{GOOGLE_TYPE}"'])
def test_a_header_may_be_quoted_or_percent_encoded(kind: str) -> None:
    assert read_one(google_data(), binary(kind)).event_name == GOOGLE_TYPE


def test_an_object_of_google_is_read() -> None:
    event = read_one(cloud_event(GOOGLE_TYPE, google_data("a+b%20.jpg")), STRUCTURED)

    assert event == ObjectEvent(
        bucket="photos",
        key="a+b%20.jpg",
        etag="1587627537231057",
        version_id="1587627537231057",
        size_bytes=9,
        is_created=True,
        event_name=GOOGLE_TYPE,
        dialect="google",
        metadata={"camera": "roof"},
    )


def test_a_blob_of_azure_is_read_from_its_url() -> None:
    event = read_one(cloud_event(AZURE_TYPE, azure_data("in/a%20b+%C3%BC.jpg")), STRUCTURED)

    assert event == ObjectEvent(
        bucket="photos",
        key="in/a b+ü.jpg",
        etag="0x8D",
        version_id=None,
        size_bytes=9,
        is_created=True,
        event_name=AZURE_TYPE,
        dialect="azure",
    )


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("google.cloud.storage.object.v1.deleted", google_data()),
        ("google.cloud.storage.object.v1.metadataUpdated", google_data()),
        ("Microsoft.Storage.BlobDeleted", azure_data()),
        ("Microsoft.Storage.BlobRenamed", {"destinationUrl": azure_data()["url"]}),
        ("com.amazonaws.s3.ObjectRemoved:Delete", s3_record() | {"eventName": "ObjectRemoved:Delete"}),
    ],
)
def test_what_happens_to_an_old_object_does_not_count_as_created(kind: str, data: object) -> None:
    event = read_one(cloud_event(kind, data), STRUCTURED)

    assert (event.key, event.is_created) == ("in/cat.jpg", False)


def test_an_empty_batch_holds_no_events() -> None:
    assert read_events(b"[]", BATCH).events == []


def test_faults_are_named_by_header_or_path() -> None:
    event = cloud_event(GOOGLE_TYPE, google_data() | {"name": 7})
    old = event | {"specversion": "0.3"}

    assert fault_of(event, STRUCTURED) == "data.name: expected a text, got 7"
    assert fault_of([event], BATCH) == "[0].data.name: expected a text, got 7"
    assert fault_of(old, STRUCTURED) == ('specversion: expected "1.0", the version of CloudEvents, got "0.3"')
    assert fault_of(google_data() | {"name": 7}, binary(GOOGLE_TYPE)) == "name: expected a text, got 7"
    assert fault_of({}, {"ce-specversion": "1.0"}) == "ce-type: expected a text, got nothing"
    assert fault_of({}, binary("%ff")) == 'ce-type: expected percent-encoded UTF-8, got "%ff"'
    assert fault_of({}, binary("org.example.made")) == (
        "ce-type: expected com.amazonaws.…, google.cloud.storage.object.… or Microsoft.Storage.…, "
        'got "org.example.made"'
    )
    assert fault_of({}, {"content-type": "application/cloudevents+avro"}) == (
        "content-type: expected application/cloudevents+json or application/cloudevents-batch+json, "
        'got "application/cloudevents+avro"'
    )


def test_data_that_is_not_what_it_should_be_is_refused() -> None:
    event = cloud_event(GOOGLE_TYPE, None)

    assert fault_of(event, STRUCTURED) == "data: expected an object, got nothing"
    assert fault_of(event | {"data": "{}"}, STRUCTURED) == 'data: expected an object, got "{}"'
    assert fault_of(event | {"data_base64": "ä"}, STRUCTURED) == (
        'data_base64: expected JSON in Base64, got "ä"'
    )
    assert fault_of(event | {"data_base64": "/w=="}, STRUCTURED).startswith(
        "data_base64: expected JSON in UTF-8, got the byte 0xff at 0"
    )
    assert fault_of([event], STRUCTURED) == "body: expected an object, got a list of 1"
    assert fault_of(event, BATCH) == "body: expected a list, got an object"


@pytest.mark.parametrize(
    "url",
    [
        "photos/cat.jpg",
        "https://account/photos",
        "https://account/photos/",
        "http://[",
        "file:///photos/c",
        "https://a/photos/%ff",
    ],
)
def test_a_url_that_names_no_blob_is_refused(url: str) -> None:
    assert fault_of(cloud_event(AZURE_TYPE, {"url": url}), STRUCTURED).startswith(
        "data.url: expected a blob's URL, https://<account>.blob.core.windows.net/<container>/<blob>, got"
    )


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("boot#1.png", "boot#1.png"),
        ("boot%231.png", "boot#1.png"),
        ("boot%2523.png", "boot%23.png"),
        ("what?.png", "what?.png"),
        ("what%3F.png", "what?.png"),
        ("a b.png", "a b.png"),
        ("a%20b.png", "a b.png"),
        ("100%.png", "100%.png"),
        ("a+b.png", "a+b.png"),
        ("in/ä;b,c&d.png", "in/ä;b,c&d.png"),
    ],
)
def test_a_blob_is_called_as_azure_writes_it_in_the_url_escaped_or_not(path: str, key: str) -> None:
    event = read_one(cloud_event(AZURE_TYPE, azure_data(path)), STRUCTURED)

    assert (event.bucket, event.key) == ("photos", key)


@pytest.mark.parametrize(
    ("path", "reading"),
    [
        ("a.png?sv=2024&sig=x", "`?` may begin a query"),
        ("a.png?snapshot=1", "`?` may begin a query"),
        ("a?b=c#d.png", "`?` may begin a query"),
        ("a%20b#1.png", "`%` may stand for itself"),
        ("a b%231.png", "`%` may stand for itself"),
        ("why?%20.png", "`%` may stand for itself"),
    ],
)
def test_a_url_of_a_blob_that_can_be_read_in_two_ways_is_refused_with_both(path: str, reading: str) -> None:
    fault = fault_of(cloud_event(AZURE_TYPE, azure_data(path)), STRUCTURED)

    assert fault.startswith("data.url: expected a blob's URL that can be read in one way: " + reading)


@pytest.mark.parametrize(
    ("api", "size", "is_created"),
    [
        ("CreateFile", 0, False),
        ("CreateFile", None, False),
        ("CreateFile", 9, True),
        ("FlushWithClose", 9, True),
        ("FlushWithClose", 0, True),
        ("PutBlob", 0, True),
        (None, 0, True),
    ],
)
def test_a_file_that_was_only_opened_is_not_created_yet(
    api: str | None, size: int | None, *, is_created: bool
) -> None:
    data = azure_data() | {"api": api, "contentLength": size}

    assert read_one(cloud_event(AZURE_TYPE, data), STRUCTURED).is_created is is_created


def test_cloud_events_in_a_list_need_no_media_type_of_their_own() -> None:
    told = [cloud_event(AZURE_TYPE, azure_data(name)) for name in ("a.png", "b.png")]

    assert [event.key for event in read_events(encode(told), {}).events] == ["a.png", "b.png"]


def test_each_event_of_a_batch_knows_the_place_where_its_sender_put_it() -> None:
    sent = [{}, cloud_event(AZURE_TYPE, azure_data()), cloud_event(GOOGLE_TYPE, google_data())]
    sent.append(cloud_event(AMAZON_TYPE, records(s3_record(), s3_record())))

    read = read_events(encode(sent), BATCH)

    assert [fault.field for fault in read.faults] == ["[0].specversion"]
    assert [event.path for event in read.events] == [
        "[1].data",
        "[2].data",
        "[3].data.Records[0]",
        "[3].data.Records[1]",
    ]
