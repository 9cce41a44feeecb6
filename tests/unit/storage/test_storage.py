"""What every kind of bucket promises: a directory, and servers that speak the protocols of S3, Google and Azure."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from production_server.errors import InvalidInput, ObjectUnusable, StorageUnavailable
from production_server.storage.locations import Location
from production_server.storage.objects import Reference
from production_server.storage.storage import Storage
from testing.azure_storage import AzureStorage
from testing.environment import variables
from testing.store import Store

TRICKY = [
    "a b.png",
    "a+b.png",
    "a%20b.png",
    "ä/ö/日本.png",
    "x=1&y=2.png",
    "q?u#e.png",
    "deep/er/est.png",
    "'\".png",
]


@dataclass(frozen=True)
class Place:
    """An empty place that objects may be put into."""

    url: str
    fill: Callable[[Mapping[str, bytes]], None]
    remove: Callable[[str], None]


@pytest.fixture(params=["file", "s3", "gs", "az"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "file":
        return _folder(tmp_path / "objects")
    return _bucket(request.getfixturevalue(request.param))


def _bucket(store: Store) -> Place:
    bucket = f"bucket-{os.urandom(4).hex()}"
    store.fill(bucket, {})
    return Place(f"{store.scheme}://{bucket}", partial(store.fill, bucket), partial(store.remove, bucket))


def _folder(folder: Path) -> Place:
    folder.mkdir()

    def fill(objects: Mapping[str, bytes]) -> None:
        for key, body in objects.items():
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).write_bytes(body)

    return Place(f"file://{folder}", fill, lambda key: (folder / key).unlink())


def storage_of(place: Place) -> Storage:
    return Storage([Location.parse(place.url)])


def listed(storage: Storage, url: str, *, cursor: str = "") -> list[Reference]:
    pages = storage.pages(Location.parse(url), cursor=cursor)
    return [reference for page in pages for reference in page.references]


def test_all_objects_are_listed_with_their_sizes(place: Place) -> None:
    place.fill({key: b"x" * size for size, key in enumerate(TRICKY, 1)})

    found = listed(storage_of(place), place.url)

    assert sorted((each.url, each.size_bytes) for each in found) == sorted(
        (f"{place.url}/{key}", size) for size, key in enumerate(TRICKY, 1)
    )


def test_what_is_listed_can_be_fetched(place: Place) -> None:
    place.fill({key: key.encode() for key in TRICKY})
    storage = storage_of(place)

    fetched = {each.url: storage.fetch(each, max_bytes=100) for each in listed(storage, place.url)}

    assert fetched == {f"{place.url}/{key}": key.encode() for key in TRICKY}


def test_a_prefix_ends_where_a_folder_does(place: Place) -> None:
    place.fill({"in/a": b"1", "in/b/c": b"2", "inside/d": b"3"})

    for url in (f"{place.url}/in/", f"{place.url}/in"):
        found = listed(storage_of(place), url)

        assert sorted(each.url for each in found) == [f"{place.url}/in/a", f"{place.url}/in/b/c"]


def test_a_listing_of_many_comes_in_pages(place: Place) -> None:
    place.fill({f"{number:04}.png": b"x" for number in range(1003)})

    pages = list(storage_of(place).pages(Location.parse(place.url)))

    assert [len(page.references) for page in pages] == [1000, 3]
    assert len({each.url for page in pages for each in page.references}) == 1003
    # Of a folder it begins anew: there is no cursor.
    behind = listed(storage_of(place), place.url, cursor=pages[0].cursor)
    assert len(behind) == (3 if pages[0].cursor else 1003)
    assert set(pages[1].references) <= set(behind)


def test_an_object_that_is_gone_says_so(place: Place) -> None:
    place.fill({"a": b"1"})
    storage = storage_of(place)
    (reference,) = listed(storage, place.url)
    place.remove("a")

    with pytest.raises(ObjectUnusable) as refused:
        storage.fetch(reference, max_bytes=10)

    assert refused.value.code == "object_missing"


def test_an_object_that_was_replaced_is_not_taken_for_the_one_before(place: Place) -> None:
    place.fill({"a": b"1"})
    storage = storage_of(place)
    (reference,) = listed(storage, place.url)
    place.fill({"a": b"other"})

    with pytest.raises(ObjectUnusable) as refused:
        storage.fetch(reference, max_bytes=10)

    assert refused.value.code == "object_replaced"
    assert storage.fetch(Reference(reference.url), max_bytes=10) == b"other"


@pytest.mark.parametrize("told_bytes", [11, 0], ids=["as listed", "unknown before"])
def test_an_object_over_the_limit_is_not_read(place: Place, told_bytes: int) -> None:
    place.fill({"a": b"x" * 11})
    storage = storage_of(place)

    with pytest.raises(ObjectUnusable) as refused:
        storage.fetch(Reference(f"{place.url}/a", size_bytes=told_bytes), max_bytes=10)

    assert refused.value.code == "object_too_large"


def test_an_empty_object_is_fetched(place: Place) -> None:
    place.fill({"a": b""})

    assert storage_of(place).fetch(Reference(f"{place.url}/a"), max_bytes=10) == b""


def test_a_place_that_is_not_there_cannot_be_listed(place: Place) -> None:
    scheme = place.url.partition("://")[0]
    missing = f"{place.url}/nothing" if scheme == "file" else f"{scheme}://nobody-has-this"
    storage = Storage([Location.parse(missing)])

    with pytest.raises(ObjectUnusable) as refused:
        listed(storage, missing)

    assert refused.value.code == "object_missing"


def test_what_is_not_allowed_is_neither_listed_nor_fetched(place: Place) -> None:
    storage = Storage([Location.parse(f"{place.url}/in")])

    with pytest.raises(InvalidInput, match="STORAGE_ALLOW"):
        storage.pages(Location.parse(place.url))
    with pytest.raises(InvalidInput, match="STORAGE_ALLOW"):
        storage.fetch(Reference(f"{place.url}/out/a"), max_bytes=10)


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_listing_goes_on_behind_a_key(request: pytest.FixtureRequest, scheme: str) -> None:
    request.getfixturevalue(scheme).fill("cursor", dict.fromkeys("abcde", b"x"))
    url = f"{scheme}://cursor"

    found = listed(Storage([Location.parse(url)]), url, cursor="c")

    assert [each.url for each in found] == [f"{url}/d", f"{url}/e"]


def test_markers_of_folders_are_no_objects(store: Store) -> None:
    store.fill("folders", {"in/": b"", "in/a": b"x"})
    url = f"{store.scheme}://folders"

    assert [each.url for each in listed(Storage([Location.parse(url)]), url)] == [f"{url}/in/a"]


def test_folders_of_a_hierarchical_account_are_no_objects(az: AzureStorage) -> None:
    az.fill("hierarchical", {"in/a": b"x"})
    az.client.get_blob_client("hierarchical", "in").upload_blob(b"", metadata={"hdi_isfolder": "true"})
    url = "az://hierarchical"

    assert [each.url for each in listed(Storage([Location.parse(url)]), url)] == [f"{url}/in/a"]


def test_a_wrong_key_reads_nothing(az: AzureStorage) -> None:
    az.fill("secret", {"a": b"x"})
    storage = Storage([Location.parse("az://secret")])

    with variables(az.environ_of("d3Jvbmc=")):
        for ask in (
            lambda: listed(storage, "az://secret"),
            lambda: storage.fetch(Reference("az://secret/a"), max_bytes=10),
        ):
            with pytest.raises(ObjectUnusable) as refused:
                ask()
            assert refused.value.code == "object_forbidden"
            assert "d3Jvbmc" not in str(refused.value)


def test_a_store_that_does_not_answer_is_no_fault_of_the_object(store: Store) -> None:
    store.fill("photos", {"a": b"x"})
    url = f"{store.scheme}://photos"
    storage = Storage([Location.parse(url)])

    with store.away():
        with pytest.raises(StorageUnavailable):
            storage.fetch(Reference(f"{url}/a"), max_bytes=10)
        with pytest.raises(StorageUnavailable):
            listed(storage, url)

    assert storage.fetch(Reference(f"{url}/a"), max_bytes=10) == b"x"


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_does_not_lead_out_of_an_allowed_folder(tmp_path: Path, link: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(b"secret")
    place = _folder(tmp_path / "objects")
    target = tmp_path / "secret" / ("key" if link == "file" else "")
    (tmp_path / "objects" / "link").symlink_to(target)
    storage, url = storage_of(place), f"{place.url}/link" + ("" if link == "file" else "/key")

    assert listed(storage, place.url) == []
    for ask in (
        lambda: storage.fetch(Reference(url), max_bytes=100),
        lambda: listed(storage, f"{place.url}/link"),
    ):
        with pytest.raises(ObjectUnusable) as refused:
            ask()
        assert refused.value.code == "object_forbidden"


def test_an_allowed_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    _folder(tmp_path / "objects").fill({"a": b"1"})
    (tmp_path / "link").symlink_to(tmp_path / "objects")
    storage = Storage([Location.parse(f"file://{tmp_path}/link")])

    (reference,) = listed(storage, f"file://{tmp_path}/link")

    assert storage.fetch(reference, max_bytes=10) == b"1"


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    place = _folder(tmp_path / "objects")
    os.mkfifo(tmp_path / "objects" / "pipe")
    storage = storage_of(place)

    assert listed(storage, place.url) == []
    with pytest.raises(ObjectUnusable):
        storage.fetch(Reference(f"{place.url}/pipe"), max_bytes=10)


def test_one_object_is_found_and_comes_in_pieces(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("remote", "directory"):
        monkeypatch.setattr(f"production_server.storage.{module}.PIECE_BYTES", 1000)
    data = bytes(range(256)) * 10
    place.fill({"in/m.onnx": data, "in/m.onnx.data": b"x", "in/a": b"y", "in/m/deeper": b"z"})
    storage = storage_of(place)

    found = storage.find(Location.parse(f"{place.url}/in/m.onnx"))

    pieces = list(storage.pieces(found, max_bytes=len(data)))
    assert [len(piece) for piece in pieces] == [1000, 1000, 560] and b"".join(pieces) == data
    with pytest.raises(ObjectUnusable) as refused:
        storage.pieces(found, max_bytes=len(data) - 1)
    assert refused.value.code == "object_too_large"


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("in", "invalid_input"),
        ("in/", "invalid_input"),
        ("none", "object_missing"),
        ("in/m", "object_missing"),
    ],
)
def test_what_is_no_single_object_is_not_found(place: Place, key: str, code: str) -> None:
    place.fill({"in/m.onnx": b"x"})

    with pytest.raises((InvalidInput, ObjectUnusable)) as refused:
        storage_of(place).find(Location.parse(f"{place.url}/{key}"))

    assert refused.value.code == code


@pytest.mark.parametrize("later", [b"b" * 2500, b"b" * 1500, b"b" * 3500])
def test_what_is_replaced_while_it_comes_in_pieces_is_not_taken_for_one_object(
    place: Place, later: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("remote", "directory"):
        monkeypatch.setattr(f"production_server.storage.{module}.PIECE_BYTES", 1000)
    place.fill({"m": b"a" * 2500})
    if place.url.startswith("file:"):
        os.utime(f"{place.url.removeprefix('file://')}/m", (1, 1))  # two moments may have one time
    storage = storage_of(place)
    found = storage.find(Location.parse(f"{place.url}/m"))

    def read() -> bytes:
        came = b""
        for piece in storage.pieces(found, max_bytes=9999):
            came += piece
            place.fill({"m": later})
        return came

    with pytest.raises(ObjectUnusable) as refused:
        read()

    assert refused.value.code in {"object_replaced", "object_refused"}
