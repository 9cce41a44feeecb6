"""What every bucket promises that a store of models lies in."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from production_server.errors import ObjectUnusable, StorageUnavailable
from production_server.storage.locations import Location
from production_server.storage.writable import BucketFolder
from testing.s3 import S3
from testing.store import Store


def bucket_of(store: Store) -> str:
    bucket = f"models-{os.urandom(4).hex()}"
    store.fill(bucket, {})
    return f"{store.scheme}://{bucket}"


@pytest.fixture
def folder(store: Store) -> BucketFolder:
    return BucketFolder(Location.parse(f"{bucket_of(store)}/some/models"))


def keys(folder: BucketFolder, under: str = "") -> dict[str, int]:
    return {each.key: each.size_bytes for each in folder.entries(under)}


def test_a_file_that_was_uploaded_is_listed_and_comes_back(folder: BucketFolder, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"0123456789" * 100_000)

    folder.upload(tmp_path / "model.onnx", "mine/1/model.onnx")
    folder.download("mine/1/model.onnx", tmp_path / "again", size_bytes=1_000_000)

    assert keys(folder) == keys(folder, "mine/") == {"mine/1/model.onnx": 1_000_000}
    assert keys(folder, "min/") == {}
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model.onnx").read_bytes()


def test_what_begins_alike_lies_elsewhere(store: Store) -> None:
    url = bucket_of(store)
    BucketFolder(Location.parse(f"{url}/models-old")).write("mine/1/a", b"x")
    BucketFolder(Location.parse(f"{url}/models")).write("mine/2/b", b"xy")

    assert keys(BucketFolder(Location.parse(f"{url}/models/"))) == {"mine/2/b": 2}
    assert keys(BucketFolder(Location.parse(url))) == {"models-old/mine/1/a": 1, "models/mine/2/b": 2}


def test_of_many_that_create_an_object_at_once_one_does(folder: BucketFolder) -> None:
    with ThreadPoolExecutor(8) as threads:
        created = list(threads.map(lambda number: folder.create("claim", b"%d" % number), range(8)))

    assert sum(created) == 1
    assert folder.read("claim", max_bytes=10) == b"%d" % created.index(True)


def test_an_object_is_overwritten_only_by_write(folder: BucketFolder) -> None:
    folder.write("key", b"first")

    assert not folder.create("key", b"second")
    assert folder.read("key", max_bytes=10) == b"first"
    folder.write("key", b"third")
    assert folder.read("key", max_bytes=10) == b"third"


def test_what_is_not_there_can_be_deleted_and_not_be_read(folder: BucketFolder, tmp_path: Path) -> None:
    folder.write("key", b"x")
    folder.delete("key")
    folder.delete("key")

    for ask in (
        lambda: folder.read("key", max_bytes=10),
        lambda: folder.download("key", tmp_path / "file", size_bytes=1),
    ):
        with pytest.raises(ObjectUnusable) as refused:
            ask()
        assert refused.value.code == "object_missing"


def test_a_bucket_that_is_not_there_is_not_an_empty_one(store: Store) -> None:
    folder = BucketFolder(Location.parse(f"{store.scheme}://no-such-{os.urandom(4).hex()}/models"))

    with pytest.raises(ObjectUnusable):
        folder.entries()
    with pytest.raises(ObjectUnusable):
        folder.create("key", b"")


def test_a_store_that_is_away_is_not_the_disks_fault_and_comes_back(s3: S3, tmp_path: Path) -> None:
    folder = BucketFolder(Location.parse(bucket_of(s3)))
    folder.write("key", b"x")
    (tmp_path / "file").write_bytes(b"y")

    with s3.away():
        for ask in (
            folder.entries,
            lambda: folder.create("other", b""),
            lambda: folder.write("key", b""),
            lambda: folder.delete("key"),
            lambda: folder.upload(tmp_path / "file", "file"),
            lambda: folder.download("key", tmp_path / "key", size_bytes=1),
        ):
            with pytest.raises(StorageUnavailable):
                ask()

    assert keys(folder) == {"key": 1}


def test_what_the_disk_refuses_is_not_the_stores_fault(s3: S3, tmp_path: Path) -> None:
    folder = BucketFolder(Location.parse(bucket_of(s3)))
    folder.write("key", b"x")

    with pytest.raises(OSError, match="No such file"):
        folder.download("key", tmp_path / "no folder" / "key", size_bytes=1)
    with pytest.raises(OSError, match="No space left"):
        folder.download("key", Path("/dev/full"), size_bytes=1)
