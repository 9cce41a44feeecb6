"""A store of models in a bucket: numbers are given once, and what has a manifest is whole."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from production_server.errors import StorageUnavailable, StoreNotWritable
from production_server.jobs.imports import new_import_id
from production_server.models.importing.uploads import Uploads
from production_server.models.remote_store import RemoteStore
from production_server.models.store import Store
from production_server.storage.locations import Location
from production_server.storage.writable import BucketFolder
from testing.model_buckets import new_bucket, publish, put_anything, remote_store_at
from testing.s3 import S3
from testing.sent_files import come


@pytest.fixture
def url(s3: S3) -> str:
    return new_bucket(s3)


@pytest.fixture
def remote(url: str) -> RemoteStore:
    return remote_store_at(url)


def folder_of(url: str) -> BucketFolder:
    return BucketFolder(Location.parse(url))


def files_of(url: str) -> set[str]:
    return {each.key for each in folder_of(url).entries()}


def test_a_version_is_there_and_here(remote: RemoteStore, url: str, tmp_path: Path) -> None:
    assert [publish(remote, tmp_path / "copy", tmp_path) for _ in range(2)] == ["1", "2"]

    here = Store([tmp_path / "copy"]).versions()
    assert [each.key for each in here] == [("table", "1"), ("table", "2")]
    there = remote.versions()
    assert set(there) == {("table", "1"), ("table", "2")}
    assert set(there["table", "2"]) == {*here[1].manifest.files, "manifest.json", ".claim"}
    assert json.loads(remote.manifest(("table", "2")))["version"] == "2"


def test_versions_that_machines_publish_at_once_get_numbers_of_their_own(url: str, tmp_path: Path) -> None:
    def of_machine(number: int) -> str:
        return publish(remote_store_at(url), tmp_path / f"copy-{number}", tmp_path)

    with ThreadPoolExecutor(6) as threads:
        numbers = list(threads.map(of_machine, range(6)))

    assert sorted(numbers) == ["1", "2", "3", "4", "5", "6"]
    assert len(remote_store_at(url).versions()) == 6


def test_a_number_that_somebody_copied_there_by_hand_is_taken(remote: RemoteStore, url: str) -> None:
    folder_of(url).write("table/7/model.onnx", b"half a copy")

    assert remote.claim("table") == "8"
    assert remote.claim("table") == "9"
    assert remote.claim("table", above=20) == "21"
    assert remote.claim("tables") == "1"


def test_a_store_that_overwrites_whatever_is_asked_gives_no_numbers(
    remote: RemoteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BucketFolder, "create", lambda self, key, data: True)

    with pytest.raises(StoreNotWritable, match="If-None-Match"):
        remote.claim("table")


def test_while_the_store_is_away_nothing_is_published(s3: S3, remote: RemoteStore, tmp_path: Path) -> None:
    with s3.away(), pytest.raises(StoreNotWritable, match="does not answer"):
        publish(remote, tmp_path / "copy", tmp_path)

    assert Store([tmp_path / "copy"]).versions() == []
    assert publish(remote, tmp_path / "copy", tmp_path) == "1"


def test_a_manifest_whose_answer_was_lost_counts(
    remote: RemoteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = BucketFolder.write

    def lose(self: BucketFolder, key: str, data: bytes) -> None:
        write(self, key, data)
        raise StorageUnavailable("the answer was lost")

    monkeypatch.setattr(BucketFolder, "write", lose)

    assert publish(remote, tmp_path / "copy", tmp_path) == "1"


KILLED = """
import os, signal, sys
from pathlib import Path
from production_server.storage.writable import BucketFolder
from testing.model_buckets import publish, remote_store_at

def die(self, key, data):
    if key.endswith("manifest.json"):
        os.kill(os.getpid(), signal.SIGKILL)

BucketFolder.write = die
publish(remote_store_at(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
"""


def test_who_is_killed_before_the_manifest_leaves_no_version_and_a_number_that_stays_unused(
    remote: RemoteStore, url: str, tmp_path: Path
) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", KILLED, url, str(tmp_path / "copy"), str(tmp_path)], timeout=60, check=False
    )

    assert dead.returncode == -9
    assert files_of(url) > {"table/1/.claim"}
    assert remote.versions() == {}
    assert publish(remote, tmp_path / "copy", tmp_path) == "2"


def test_what_was_left_behind_is_swept_after_a_day_and_its_number_stays_taken(
    remote: RemoteStore, url: str, tmp_path: Path
) -> None:
    publish(remote, tmp_path / "copy", tmp_path)
    folder = folder_of(url)
    ages = {"2": timedelta(hours=23), "3": timedelta(hours=25)}
    for number, age in ages.items():
        told = {"at": (datetime.now(UTC) - age).isoformat(), "by": "somebody"}
        folder.write(f"table/{number}/.claim", json.dumps(told).encode())
    folder.write("table/4/.claim", b"no claim of ours")
    for number in "234":
        folder.write(f"table/{number}/model.onnx", b"half")
    before = files_of(url)

    remote.sweep()

    assert before - files_of(url) == {"table/3/model.onnx"}
    assert remote.claim("table") == "5"


def test_a_version_that_is_withdrawn_goes_and_its_number_does_not_come_again(
    remote: RemoteStore, url: str, tmp_path: Path
) -> None:
    publish(remote, tmp_path / "copy", tmp_path)

    with remote.withdrawn(("table", "1")):
        assert remote.versions() == {}
        assert len(files_of(url)) > 1

    assert files_of(url) == {"table/1/.claim"}
    assert remote.claim("table") == "2"


def test_a_withdrawal_that_fails_brings_the_version_back(remote: RemoteStore, tmp_path: Path) -> None:
    publish(remote, tmp_path / "copy", tmp_path)
    before = remote.manifest(("table", "1"))

    def withdraw() -> None:
        with remote.withdrawn(("table", "1")):
            raise ValueError("the transaction failed")

    with pytest.raises(ValueError, match="transaction"):
        withdraw()
    assert remote.manifest(("table", "1")) == before


def test_while_the_store_is_away_nothing_is_withdrawn(s3: S3, remote: RemoteStore, tmp_path: Path) -> None:
    publish(remote, tmp_path / "copy", tmp_path)

    def withdraw() -> None:
        with remote.withdrawn(("table", "1")):
            pytest.fail("the store did not answer")

    with s3.away(), pytest.raises(StoreNotWritable):
        withdraw()
    assert set(remote.versions()) == {("table", "1")}


def uploads_of(url: str, copy: Path) -> Uploads:
    return Uploads(copy, remote_store_at(url))


def test_a_file_that_one_machine_was_sent_another_one_has(url: str, tmp_path: Path) -> None:
    import_id = uuid4()
    web, worker = uploads_of(url, tmp_path / "web"), uploads_of(url, tmp_path / "worker")
    with web.incoming(most_bytes=9) as files:
        come(files, "model", "my model.onnx", b"onnx")
        web.keep(import_id, come(files, "sample", "rows.csv", b"a,b"))

    worker.bring(import_id)

    model, sample = worker.find(import_id, "model"), worker.find(import_id, "sample")
    assert model is not None and model.name == "my_model.onnx" and model.read_bytes() == b"onnx"
    assert sample is not None and sample.read_bytes() == b"a,b"
    assert worker.find(import_id, "weights") is None
    worker.remove(import_id)
    assert files_of(url) == set()
    assert not worker.folder_of(import_id).exists()


def test_of_uploads_only_what_can_have_been_sent_is_brought(url: str, tmp_path: Path) -> None:
    import_id = uuid4()
    under = f".imports/{import_id}"
    for key in (
        "model/fine.onnx",
        "model/../../out",
        "../out",
        "other/x",
        "model/a/b",
        "model/.hidden",
        "/etc",
    ):
        put_anything(url, f"{under}/{key}", b"x")
    worker = uploads_of(url, tmp_path / "worker")

    worker.bring(import_id)

    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert found == [worker.folder_of(import_id) / "model" / "fine.onnx"]


def test_uploads_that_no_import_needs_are_swept_when_they_are_old(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = uploads_of(url, tmp_path / "web")
    old, needed = new_import_id(), new_import_id()
    for each in (old, needed):
        with uploads.incoming(most_bytes=9) as files:
            uploads.keep(each, come(files, "model", "m.onnx", b"x"))
    uploads.sweep({needed})
    assert len(files_of(url)) == 2

    now = time.time()
    monkeypatch.setattr("production_server.models.importing.uploads.time.time", lambda: now + 3700)
    uploads.sweep({needed})

    assert files_of(url) == {f".imports/{needed}/model/m.onnx"}
