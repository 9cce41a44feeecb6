"""Whatever comes that is no notification ends in one error that names it, and in no other."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.errors import InvalidInput, TooLarge
from production_server.sources.object_events import read_events
from tests.event_bodies import (
    BATCH,
    GOOGLE_TYPE,
    KINDS,
    STRUCTURED,
    ceph_record,
    cloud_event,
    encode,
    event_bridge,
    google_data,
    minio_body,
    records,
    s3_record,
    sns,
    sqs,
)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
HEADERS = st.sampled_from(
    [{}, STRUCTURED, BATCH, {"ce-type": GOOGLE_TYPE, "ce-specversion": "1.0"}, {"ce-type": "%ff"}]
)
KEY = "Records[0].s3.object.key"
KEY_RULE = "expected a text of 1 to 1,024 bytes of UTF-8 without NUL"
KNOWN = "`Records` of S3, an event of EventBridge (`detail-type`), or a CloudEvent (`specversion`)"
EVENTARC = "a CloudEvent, as an Eventarc trigger sends them"
OTHER_SCHEMA = "CloudEvents 1.0, the other schema that a subscription of Event Grid can be set to"
PUSHED = "what Google Pub/Sub pushes, which says in attributes only what happened"
PUB_SUB = {
    "message": {"attributes": {"bucketId": "photos"}, "data": "e30="},
    "subscription": "projects/p/subscriptions/s",
}
OBJECT_OF_GOOGLE = {"kind": "storage#object", "bucket": "photos", "name": "a.png"}
EVENT_GRID = {
    "id": "1", "topic": "/subscriptions/1", "subject": "/blobServices", "eventType": "Microsoft.Storage.BlobCreated",
    "eventTime": "2026-11-29T08:00:00Z", "dataVersion": "", "data": {"url": "https://a.blob.core.windows.net/c/b"},
}  # fmt: skip
BUCKET_RULE = "expected a bucket's name: 3 to 255 letters, digits, dots, hyphens and underscores"


def faults_of(body: bytes) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        read_events(body, {})
    assert caught.value.code == "not_an_event"
    return [str(fault) for fault in caught.value.faults]


def fault_of(document: object) -> str:
    (fault,) = faults_of(encode(document))
    return fault


def error_of(body: bytes, headers: dict[str, str]) -> InvalidInput | None:
    try:
        read_events(body, headers)
    except InvalidInput as exc:
        return exc
    return None


def assert_read_or_refused(body: bytes, headers: dict[str, str]) -> None:
    error = error_of(body, headers)

    if error is not None:
        assert error.faults
        assert error.code in {"not_an_event", "too_large"}
        # What is said reaches a client, as UTF-8, and a log of one line each.
        assert b"\n" not in str(error).encode()


@given(document=JSON_VALUES, headers=HEADERS)
def test_any_json_is_read_or_refused(document: object, headers: dict[str, str]) -> None:
    assert_read_or_refused(json.dumps(document).encode(), headers)


@given(body=st.binary(), headers=HEADERS)
def test_any_bytes_are_read_or_refused(body: bytes, headers: dict[str, str]) -> None:
    assert_read_or_refused(body, headers)


@given(data=st.data())
def test_a_notification_with_any_json_in_one_place_is_read_or_refused(data: st.DataObject) -> None:
    document = copy.deepcopy(data.draw(st.sampled_from(list(KINDS.values()))))
    place: Any = document
    parent: Any = None
    name: Any = None
    while isinstance(place, dict | list) and place and (parent is None or data.draw(st.booleans())):
        names = list(place) if isinstance(place, dict) else list(range(len(place)))
        parent, name = place, data.draw(st.sampled_from(names))
        place = parent[name]
    parent[name] = data.draw(JSON_VALUES)

    assert_read_or_refused(json.dumps(document).encode(), {})


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (b"", "an empty body"),
        (b"<xml/>", "something else: Expecting value: line 1 column 1 (char 0)"),
        (b'{"Records": [}', "something else: Expecting value: line 1 column 14 (char 13)"),
        (b'{"Records": [1' + b"0" * 5000, "a number of thousands of digits"),
        (b'"\xff"', "the byte 0xff at 1, which is no UTF-8 there"),
        ('{"Records": []}'.encode("utf-16"), "UTF-16"),
    ],
)
def test_what_is_not_json_in_utf_8_is_refused(body: bytes, got: str) -> None:
    (fault,) = faults_of(body)

    assert fault.startswith(f"body: expected JSON in UTF-8, got {got}")


@pytest.mark.parametrize("bracket", [b"[", b'{"Records":[', b'{"a":'])
def test_json_nested_without_end_is_refused(bracket: bytes) -> None:
    assert faults_of(bracket * 100_000) == [
        "body: expected JSON in UTF-8, got too many brackets in each other"
    ]


def test_json_nested_without_end_in_an_envelope_is_refused() -> None:
    assert faults_of(encode({"Type": "Notification", "Message": "[" * 100_000})) == [
        "Message: expected JSON in UTF-8, got too many brackets in each other"
    ]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([], "body: expected an object, got a list of 0"),
        (None, "body: expected an object, got nothing"),
        (7, "body: expected an object, got 7"),
        ("text", 'body: expected an object, got "text"'),
        ({}, f"body: expected {KNOWN}, got an empty object"),
        ({"a": 1}, f"body: expected {KNOWN}, got an object with a"),
        ({"Records": None, "Sns\n": 1}, f"body: expected {KNOWN}, got an object with Records, Sns\\n"),
        (dict.fromkeys("abcdefg", 1), f"body: expected {KNOWN}, got an object with a, b, c, d, e, …"),
        (PUB_SUB, f"body: expected {EVENTARC}, got {PUSHED}"),
        (OBJECT_OF_GOOGLE, f"body: expected {EVENTARC}, got an object of Google without what happened to it"),
        ([EVENT_GRID], f"[0]: expected {OTHER_SCHEMA}, got an event of Event Grid's own schema"),
        (EVENT_GRID, f"body: expected {OTHER_SCHEMA}, got an event of Event Grid's own schema"),
        (records({"EventSource": "aws:sns"}), "Records[0].Sns: expected an object, got nothing"),
        (records({"eventSource": "aws:sqs"}), "Records[0].body: expected a text, got nothing"),
        ({"Records": {}}, "Records: expected a list, got an object"),
        ({"Event": "s3:OtherEvent"}, f"body: expected {KNOWN}, got an object with Event"),
        (records(7), "Records[0]: expected an object, got 7"),
        (records([1, 2]), "Records[0]: expected an object, got a list of 2"),
        (records({}), "Records[0].eventName: expected a value, got nothing"),
        (records(s3_record() | {"eventSource": 7}), "Records[0].eventSource: expected a text, got 7"),
        (records(s3_record() | {"s3": None}), "Records[0].s3: expected a value, got nothing"),
        (records(s3_record() | {"s3": {}}), "Records[0].s3.bucket: expected a value, got nothing"),
        (records(s3_record(key=None)), "Records[0].s3.object.key: expected a value, got nothing"),
        (records(s3_record(key=True)), f"{KEY}: expected a text, got true"),
        (records(s3_record(size=-1)), "Records[0].s3.object.size: expected a whole number from 0 on, got -1"),
        (records(s3_record(size=1.5)), "Records[0].s3.object.size: expected a whole number from 0 on, got 1.5"),
        (records(s3_record(size=True)), "Records[0].s3.object.size: expected a whole number from 0 on, got true"),
        (records(s3_record(size=2**63)), f"Records[0].s3.object.size: expected a whole number from 0 on, got {2**63}"),
        (records(s3_record(size="²")), 'Records[0].s3.object.size: expected a whole number from 0 on, got "²"'),
        (records(s3_record(eTag=5)), "Records[0].s3.object.eTag: expected a text, got 5"),
        (records(s3_record(etag=[], eTag=None)), "Records[0].s3.object.etag: expected a text, got a list of 0"),
        (records(ceph_record(metadata={})), "Records[0].s3.object.metadata: expected a list, got an object"),
        (records(ceph_record(metadata=[{"key": "a"}])),
         "Records[0].s3.object.metadata[0].val: expected a value, got nothing"),
        (minio_body(userMetadata={"a\nb": 7}),
         "Records[0].s3.object.userMetadata.a\\nb: expected a text, got 7"),
        (minio_body(userMetadata=[]), "Records[0].s3.object.userMetadata: expected an object, got a list of 0"),
        (event_bridge() | {"detail": 7}, "detail: expected an object, got 7"),
        (event_bridge(key=""), f'detail.object.key: {KEY_RULE}, got ""'),
        ({"Type": "Notification"}, "Message: expected a text, got nothing"),
        ({"Type": "Notification", "Message": {}}, "Message: expected a text, got an object"),
        ({"Type": ["Notification"]}, f"body: expected {KNOWN}, got an object with Type"),
        (sns([]), "Message: expected an object, got a list of 0"),
    ],
)  # fmt: skip
def test_a_fault_is_named_by_its_path_with_what_was_expected_and_what_came(
    document: object, fault: str
) -> None:
    assert faults_of(encode(document))[0] == fault


def test_all_that_is_wrong_with_one_event_is_named() -> None:
    event = s3_record(size=-1, key=None) | {"eventName": 7}

    assert faults_of(encode(records(event))) == [
        "Records[0].eventName: expected a text, got 7",
        "Records[0].s3.object.key: expected a value, got nothing",
        "Records[0].s3.object.size: expected a whole number from 0 on, got -1",
    ]


@pytest.mark.parametrize(
    ("key", "got"),
    [
        ("", '""'),
        ("a\0b", '"a\\u0000b"'),
        ("a%00b", '"a%00b"'),
        ("%ff.jpg", '"%ff.jpg"'),
        ("k" * 1025, '"' + "k" * 76 + "..."),
        ("é" * 513, '"' + "é" * 76 + "..."),
        ("%20" * 1_000_000, '"' + "%20" * 25 + "%..."),
        ("%C3%A9" * 513, '"' + "%C3%A9" * 12 + "%C3%..."),
    ],
)
def test_a_key_that_no_store_can_have_is_refused(key: str, got: str) -> None:
    assert fault_of(records(s3_record(key))) == f"{KEY}: {KEY_RULE}, got {got}"


def test_a_key_of_1024_bytes_is_taken() -> None:
    (event,) = read_events(encode(records(s3_record("%C3%A9" * 512))), {}).events

    assert event.key == "é" * 512


@pytest.mark.parametrize("record", [s3_record, ceph_record])
def test_half_of_a_character_is_refused_wherever_it_stands(record: Any) -> None:
    body = json.dumps(records(record("\ud800.jpg"), record(eTag="\udfff"))).encode()

    assert faults_of(body) == [
        f'{KEY}: {KEY_RULE}, got "\\ud800.jpg"',
        f'Records[1].s3.object.eTag: {KEY_RULE}, got "\\udfff"',
    ]


@pytest.mark.parametrize("name", ["", "ab", "a" * 256, "a/b", "..", "a..b", "-ab", "a b", "photös", "abc\n"])
def test_a_bucket_that_no_store_can_have_is_refused(name: str) -> None:
    record = s3_record()
    record["s3"]["bucket"]["name"] = name

    assert fault_of(records(record)).startswith(f"Records[0].s3.bucket.name: {BUCKET_RULE}, got ")


@pytest.mark.parametrize("name", ["bkt", "My_Bucket.1", "$web", "a" * 255, "1.2-3"])
def test_a_bucket_that_some_store_can_have_is_taken(name: str) -> None:
    record = s3_record()
    record["s3"]["bucket"]["name"] = name

    (event,) = read_events(encode(records(record)), {}).events

    assert event.bucket == name


def test_all_faults_are_named_up_to_twenty() -> None:
    wrong = s3_record(size=-1)

    few = faults_of(encode(records(wrong, s3_record(""))))
    many = faults_of(encode(records(*[wrong] * 100)))

    assert [fault.partition(":")[0] for fault in few] == [
        "Records[0].s3.object.size",
        "Records[1].s3.object.key",
    ]
    assert len(many) == 20


@pytest.mark.parametrize(
    ("document", "headers", "place"),
    [
        (records(s3_record(""), s3_record()), {}, "Records[0].s3.object.key"),
        (records(7, s3_record()), {}, "Records[0]"),
        (sqs(records(s3_record("")), records(s3_record())), {}, "Records[0].body.Records[0].s3.object.key"),
        (sqs({}, records(s3_record())), {}, "Records[0].body"),
        (records({"body": "no JSON"}, *sqs(records(s3_record()))["Records"]), {}, "Records[0].body"),
        (records(s3_record(), {"body": None, "eventSource": "aws:sqs"}), {}, "Records[1].body"),
        ([cloud_event("org.example.made", {}), cloud_event(GOOGLE_TYPE, google_data())], BATCH, "[0].type"),
        ([{"specversion": "0.3"}, cloud_event(GOOGLE_TYPE, google_data())], {}, "[0].specversion"),
    ],
)
def test_an_event_that_cannot_be_read_is_told_and_stops_none_of_those_beside_it(
    document: object, headers: dict[str, str], place: str
) -> None:
    read = read_events(encode(document), headers)

    assert [event.key for event in read.events] == ["in/cat.jpg"]
    assert (read.refused, [fault.field for fault in read.faults]) == (1, [place])


def test_of_many_events_that_cannot_be_read_all_are_counted_and_some_are_told() -> None:
    read = read_events(encode(records(*[s3_record("")] * 100, s3_record())), {})

    assert (len(read.events), read.refused, len(read.faults)) == (1, 100, 20)


def test_a_fault_in_envelopes_is_named_through_them() -> None:
    document = sqs(sns(records(s3_record(""))))

    assert fault_of(document).startswith("Records[0].body.Message.Records[0].s3.object.key: ")


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (sqs(sqs(records(s3_record()))), "Records[0].body.Records[0]"),
        (sns(sqs(records(s3_record()))), "Message.Records[0]"),
        (sns(sns(records(s3_record()))), "Message"),
        (sqs(sns(sns(records(s3_record())))), "Records[0].body.Message"),
    ],
)
def test_envelopes_in_any_other_order_are_not_opened(document: object, where: str) -> None:
    assert all(fault.startswith(where) for fault in faults_of(encode(document)))


def test_an_envelope_among_records_is_opened() -> None:
    message = sqs(records(s3_record("b")))["Records"][0]

    for order in ([s3_record("a"), message], [message, s3_record("a")]):
        assert {event.key for event in read_events(encode(records(*order)), {}).events} == {"a", "b"}


def test_of_one_event_no_more_than_twenty_faults_are_told() -> None:
    wrong = minio_body(userMetadata={str(number): number for number in range(10_000)})["Records"][0]

    faults = faults_of(encode(records(wrong, s3_record(""))))

    assert len(faults) == 20
    assert all(fault.startswith("Records[0].s3.object.userMetadata.") for fault in faults)


def test_more_metadata_than_may_be_are_counted() -> None:
    document = minio_body(userMetadata={str(number): 1 for number in range(10_001)})

    with pytest.raises(TooLarge) as caught:
        read_events(encode(document), {})

    assert str(caught.value) == (
        "Records[0].s3.object.userMetadata: expected at most 10,000 entries, got 10,001"
    )


@pytest.mark.parametrize(
    "document",
    [
        records(*[s3_record()] * 10_001),
        sqs(records(*[s3_record()] * 6_000), records(*[s3_record()] * 4_001)),
        sqs(*[{}] * 10_001),
        records(ceph_record(metadata=[{}] * 10_001)),
        minio_body(userMetadata={str(number): "" for number in range(10_001)}),
    ],
    ids=["records", "in two messages", "messages", "metadata", "metadata by name"],
)
def test_more_than_ten_thousand_of_anything_is_too_large(document: object) -> None:
    with pytest.raises(TooLarge, match="expected at most 10,000 e"):
        read_events(encode(document), {})
