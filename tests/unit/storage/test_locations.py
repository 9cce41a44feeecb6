from __future__ import annotations

import pytest

from production_server.errors import InvalidInput
from production_server.storage.locations import AllowedLocations, Location


def allowed(*urls: str) -> AllowedLocations:
    return AllowedLocations([Location.parse(url) for url in urls])


@pytest.mark.parametrize(
    "url",
    [
        "s3://photos/",
        "s3://photos/incoming/2026/a b+c%20d?e#f.jpg",
        "s3://photos/ümläut/日本.png",
        "gs://photos/x",
        "az://photos/x",
        "file:///srv/images",
    ],
)
def test_a_url_is_taken_as_it_is_and_given_back(url: str) -> None:
    assert Location.parse(url).url == url


def test_a_bucket_alone_is_all_that_is_in_it() -> None:
    assert Location.parse("s3://photos") == Location("s3", "photos", "")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "photos/x.jpg",
        "/etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "https://example.org/x.jpg",
        "ftp://photos/x",
        "S3://photos/x",
        "s3:///x.jpg",
        "file://host/etc/passwd",
        "s3://photos/a\0b",
        "s3://photos/" + "x" * 2048,
    ],
)
def test_what_names_no_place_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Location.parse(url)

    assert refused.value.faults[0].field == "url"


@pytest.mark.parametrize(
    "url",
    [
        "s3://a-bucket,s3://b-bucket",
        "s3://ab/x",
        "s3://photos;/x",
        "gs://photös/x",
        "az://a b/x",
        "s3://a..b/x",
    ],
)
def test_a_bucket_that_no_store_can_have_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="expected a bucket's name: 3 to 255 letters"):
        Location.parse(url)


@pytest.mark.parametrize("key", ["../x", "a/../b", "a/..", "./a", "a/./b", ".."])
def test_a_key_that_somebody_might_resolve_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput, match=r"without `\.` and `\.\.`"):
        Location.parse(f"s3://photos/{key}")


@pytest.mark.parametrize(
    "url", ["s3://photos/in", "s3://photos/in/", "s3://photos/in/a.jpg", "s3://photos/in/b/c"]
)
def test_what_lies_in_an_allowed_place_may_be_read(url: str) -> None:
    places = allowed("s3://photos/in/")

    assert places.containing(Location.parse(url)).url == "s3://photos/in/"


@pytest.mark.parametrize(
    "url",
    [
        "s3://photos/inside/a.jpg",
        "s3://photos",
        "s3://photos2/in/a.jpg",
        "gs://photos/in/a.jpg",
        "file:///in/a",
    ],
)
def test_nothing_else_may_be_read(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        allowed("s3://photos/in/", "s3://other").containing(Location.parse(url))

    assert refused.value.code == "location_not_allowed"


def test_where_nothing_is_allowed_the_error_says_which_setting_is_missing() -> None:
    with pytest.raises(InvalidInput, match=r"STORAGE_ALLOW names \(it names none\)"):
        allowed().containing(Location.parse("s3://photos/x"))
