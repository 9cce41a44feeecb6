"""Stores that answer as no store should: nothing is followed, downloaded without end, or waited for without end."""

from __future__ import annotations

import threading

import pytest

from production_server.errors import ObjectUnusable, StorageUnavailable
from production_server.storage import remote
from production_server.storage.locations import Location
from production_server.storage.objects import Reference
from production_server.storage.storage import Storage
from testing.odd_store import (
    Answer,
    Answering,
    OddStore,
    drips,
    endless,
    fine,
    huge,
    odd_store,
    only,
    redirect,
)
from testing.processes import wait_until
from testing.s3 import S3

PHOTOS = "s3://photos"
PHOTO = Reference("s3://photos/a.png")
MAX_BYTES = 10**6
BUFFERS_BYTES = 20 * 10**6
"""More than sockets hold on a machine of any kind, and less than the whole."""


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Storage:
    for name, value in S3("").environ.items():
        monkeypatch.setenv(name, value)
    return Storage([Location.parse(PHOTOS)])


def point_to(store: OddStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)


@pytest.mark.parametrize("headers", [{}, {"x_amz_bucket_region": "eu-west-1"}], ids=["", "other region"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_where_a_store_redirects_to_nobody_asks(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, status: int, headers: dict[str, str]
) -> None:
    with odd_store(fine) as elsewhere, odd_store(redirect(status, elsewhere.url, **headers)) as store:
        point_to(store, monkeypatch)

        for ask in (
            lambda: storage.fetch(PHOTO, max_bytes=MAX_BYTES),
            lambda: list(storage.pages(Location.parse(PHOTOS))),
        ):
            with pytest.raises(ObjectUnusable, match=f"the store answers {status}") as refused:
                ask()
            assert refused.value.code == "object_refused"

        assert elsewhere.asked == []
        assert 2 <= len(store.asked) < 10


def test_of_an_object_over_the_limit_no_more_is_taken_than_buffers_hold(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with odd_store(huge) as store:
        point_to(store, monkeypatch)

        with pytest.raises(ObjectUnusable) as refused:
            storage.fetch(PHOTO, max_bytes=MAX_BYTES)

        assert refused.value.code == "object_too_large"
        assert store.sent_bytes < BUFFERS_BYTES


def test_a_body_without_end_is_not_taken(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    with odd_store(endless) as store:
        point_to(store, monkeypatch)

        with pytest.raises(ObjectUnusable, match="does not say its size") as refused:
            storage.fetch(PHOTO, max_bytes=MAX_BYTES)

        assert refused.value.code == "object_refused"
        assert store.sent_bytes < BUFFERS_BYTES


def test_a_body_that_comes_by_drips_is_given_up(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    with odd_store(only("a.png", drips, b"whole")) as store:
        point_to(store, monkeypatch)
        # What speaks to stores is imported, which may take seconds.
        storage.fetch(Reference("s3://photos/b.png"), max_bytes=MAX_BYTES)
        monkeypatch.setattr(remote, "ANSWER_TIMEOUT_S", 2)

        with pytest.raises(ObjectUnusable) as refused:
            storage.fetch(PHOTO, max_bytes=2 * 2**20)

        assert refused.value.code == "object_too_slow"
        assert store.sent_bytes > 1


def listing(*contents: str) -> Answer:
    """An answer that lists those objects."""
    objects = "".join(f"<Contents>{each}</Contents>" for each in contents)
    body = f"<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>{objects}"

    def answer(answering: Answering) -> None:
        answering.whole(f"{body}</ListBucketResult>".encode())

    return answer


def test_an_object_that_is_listed_without_what_others_have_stops_none_of_its_page(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = "<Key>b.png</Key><ETag>&quot;1&quot;</ETag><Size>3</Size>"
    with odd_store(listing("<Key>a.png</Key>", known)) as store:
        point_to(store, monkeypatch)

        (page,) = storage.pages(Location.parse(PHOTOS))

    assert page.references == (Reference("s3://photos/a.png"), Reference("s3://photos/b.png", "1", 3))


@pytest.mark.parametrize(
    ("sent", "key"),
    [("new%0Aline.png", "new\nline.png"), ("a%01b.png", "a\x01b.png"), ("caf%E9.png", "caf\ufffd.png")],
)
def test_an_object_with_an_odd_name_stops_none_of_its_page(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, sent: str, key: str
) -> None:
    with odd_store(listing(f"<Key>{sent}</Key>", "<Key>fine.png</Key>")) as store:
        point_to(store, monkeypatch)

        (page,) = storage.pages(Location.parse(PHOTOS))

    assert [reference.url for reference in page.references] == [f"s3://photos/{key}", "s3://photos/fine.png"]


def silent(answering: Answering) -> None:
    """Nothing, though the connection stays open."""
    answering.server.store.closing.wait()


def test_who_waits_for_a_store_is_told_at_once_when_the_storage_is_closed(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with odd_store(silent) as store:
        point_to(store, monkeypatch)

        def close_when_asked() -> None:
            wait_until(lambda: bool(store.asked), what="it is asked")
            storage.close()

        threading.Thread(target=close_when_asked).start()

        with pytest.raises(StorageUnavailable):
            storage.fetch(PHOTO, max_bytes=MAX_BYTES)
        with pytest.raises(StorageUnavailable):
            storage.fetch(PHOTO, max_bytes=MAX_BYTES)
        assert len(store.asked) == 1
