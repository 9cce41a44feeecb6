"""The copy of a store in a bucket: as the bucket is, whole versions only, and still there when that is away."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from production_server.models import mirror as mirroring
from production_server.models.mirror import Mirror
from production_server.models.registry import Registry
from production_server.models.remote_store import RemoteStore
from production_server.models.store import Store
from production_server.storage.locations import Location
from production_server.storage.writable import BucketFolder
from testing.model_buckets import new_bucket, publish, put_anything, remote_store_at
from testing.processes import wait_until
from testing.s3 import S3
from testing.small_models import write_table_model


@pytest.fixture
def url(s3: S3) -> str:
    return new_bucket(s3)


@pytest.fixture
def remote(url: str) -> RemoteStore:
    return remote_store_at(url)


@pytest.fixture
def mirror(url: str, tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "here", remote_store_at(url))


@pytest.fixture
def publishing(remote: RemoteStore, tmp_path: Path) -> Any:
    """Another machine, which publishes the next version of `table`."""
    return lambda: publish(remote, tmp_path / "elsewhere", tmp_path)


def here(tmp_path: Path) -> list[str]:
    return [version.key[1] for version in Store([tmp_path / "here"]).versions()]


def folder_of(url: str) -> BucketFolder:
    return BucketFolder(Location.parse(url))


def put_version(url: str, folder: Path, *, but: dict[str, bytes | None] | None = None) -> None:
    """Copy a version there by hand; `but` has files with other bytes, or None where they are left out."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            body = (but or {}).get(path.relative_to(folder).as_posix(), path.read_bytes())
            if body is not None:
                put_anything(url, path.relative_to(folder.parent.parent).as_posix(), body)


def test_what_another_machine_publishes_is_here_whole(
    mirror: Mirror, publishing: Any, tmp_path: Path
) -> None:
    assert mirror.faults() == ["the store of models has not been looked at yet"]
    publishing()
    publishing()

    mirror.look_now()

    assert here(tmp_path) == ["1", "2"]
    for version in Store([tmp_path / "here"]).versions():
        for file in version.manifest.files:
            version.verified_file(file)
    assert mirror.faults() == []
    assert not list((tmp_path / "here" / "table").glob(".*"))


def test_the_newest_version_comes_first(
    mirror: Mirror, publishing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[str] = []
    monkeypatch.setattr(Mirror, "_bring", lambda self, key, files: came.append(key[1]))
    for _ in range(3):
        publishing()

    mirror.look_now()

    assert came == ["3", "2", "1"]


def test_two_machines_see_each_others_versions_within_seconds(url: str, tmp_path: Path) -> None:
    copies = [tmp_path / "a", tmp_path / "b"]
    mirrors = [Mirror(copy, remote_store_at(url)) for copy in copies]
    for each in mirrors:
        each.start()
    try:
        for copy in copies:
            publish(remote_store_at(url), copy, tmp_path)
        wait_until(
            lambda: all(len(Store([copy]).versions()) == 2 for copy in copies),
            what="both versions on both machines",
            timeout_s=10,
        )
    finally:
        for each in mirrors:
            each.close()


def test_what_is_removed_there_goes_here_and_its_number_stays_taken(
    mirror: Mirror, remote: RemoteStore, publishing: Any, tmp_path: Path
) -> None:
    publishing()
    mirror.look_now()
    with remote.withdrawn(("table", "1")):
        pass

    mirror.look_now()

    assert here(tmp_path) == []
    assert publishing() == "2"


def test_what_is_here_as_it_is_there_is_not_downloaded_again(
    url: str, mirror: Mirror, publishing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publishing()
    mirror.look_now()
    monkeypatch.setattr(BucketFolder, "download", lambda *_a, **_k: pytest.fail("downloaded again"))

    mirror.look_now()
    Mirror(tmp_path / "here", remote_store_at(url)).look_now()


def test_a_copy_that_was_thrown_away_comes_again(mirror: Mirror, publishing: Any, tmp_path: Path) -> None:
    publishing()
    mirror.look_now()
    shutil.rmtree(tmp_path / "here")

    mirror.look_now()

    assert here(tmp_path) == ["1"]


def test_a_version_that_somebody_replaced_there_is_replaced_here(
    url: str, mirror: Mirror, tmp_path: Path
) -> None:
    put_version(url, write_table_model(tmp_path / "first"))
    mirror.look_now()
    put_version(url, write_table_model(tmp_path / "second", title="Another title"))

    mirror.look_now()

    (version,) = Store([tmp_path / "here"]).versions()
    assert version.manifest.title == "Another title"
    version.verified_file("model.onnx")


def test_while_the_store_is_away_what_is_here_stays(
    s3: S3, mirror: Mirror, publishing: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publishing()
    mirror.look_now()
    caplog.set_level(logging.INFO, mirroring.__name__)
    caplog.clear()

    with s3.away():
        mirror.look_now()
        mirror.look_now()
        assert here(tmp_path) == ["1"]
        assert mirror.faults() == ["the store of models is out of reach: what is here serves on"]
    mirror.look_now()

    said = [record.message for record in caplog.records if record.name == mirroring.__name__]
    assert [("does not answer" in line, "answers again" in line) for line in said] == [
        (True, False),
        (False, True),
    ]
    assert mirror.faults() == []


def test_a_bucket_that_was_taken_away_is_away_and_not_empty(
    s3: S3, url: str, mirror: Mirror, publishing: Any, tmp_path: Path
) -> None:
    publishing()
    mirror.look_now()
    bucket = url.removeprefix("s3://").partition("/")[0]
    for each in folder_of(url).entries():
        s3.remove(bucket, f"lab/{each.key}")
    s3.client().delete_bucket(Bucket=bucket)

    mirror.look_now()

    assert here(tmp_path) == ["1"]
    assert mirror.faults() == ["the store of models is out of reach: what is here serves on"]


ONNX = "model.onnx"


@pytest.mark.parametrize(
    ("but", "why"),
    [
        ({ONNX: None}, f"{ONNX} is not there"),
        ({ONNX: b"short"}, f"{ONNX} has 5 bytes"),
        ({ONNX: "same size"}, f"{ONNX} has another SHA-256"),
        ({"manifest.json": b"{"}, "its manifest cannot be read"),
    ],
)
def test_a_version_that_is_not_whole_is_passed_over_and_told_once_until_it_is(
    url: str,
    mirror: Mirror,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    but: dict[str, Any],
    why: str,
) -> None:
    folder = write_table_model(tmp_path / "made")
    if but.get(ONNX) == "same size":
        but = {ONNX: b"x" * (folder / ONNX).stat().st_size}
    put_version(url, folder, but=but)
    put_version(url, write_table_model(tmp_path / "made", name="whole"))

    mirror.look_now()
    mirror.look_now()
    Mirror(tmp_path / "here", remote_store_at(url)).look_now()

    assert Registry([tmp_path / "here"]).model_names() == ["whole"]
    assert mirror.faults() == ["1 versions in the store of models cannot be brought here"]
    told = [record.message for record in caplog.records if "passed over" in record.message]
    assert len(told) == 1 and why in told[0] and "table/1" in told[0]

    put_version(url, folder)
    mirror.look_now()
    assert Registry([tmp_path / "here"]).model_names() == ["table", "whole"]
    assert mirror.faults() == []


@pytest.mark.parametrize(
    "name",
    ["../../out", "/out", "a/../../../out", "a\\..\\out", "manifest.json", "a\nb", "model.onnx/inner", ""],
)
def test_no_file_gets_a_name_that_leads_elsewhere(
    url: str, mirror: Mirror, tmp_path: Path, name: str
) -> None:
    folder = write_table_model(tmp_path / "made")
    written = json.loads((folder / "manifest.json").read_text())
    written["files"][name] = {"sha256": hashlib.sha256(b"x").hexdigest(), "size_bytes": 1}
    (folder / "manifest.json").write_text(json.dumps(written))
    put_anything(url, f"table/1/{name}", b"x")
    put_version(url, folder)
    before = {path for path in tmp_path.rglob("*") if (tmp_path / "here") not in (path, *path.parents)}

    mirror.look_now()

    assert here(tmp_path) == []
    assert mirror.faults() == ["1 versions in the store of models cannot be brought here"]
    after = {path for path in tmp_path.rglob("*") if (tmp_path / "here") not in (path, *path.parents)}
    assert after - before - {tmp_path / "here"} == set()
    assert not [path for path in (tmp_path / "here").rglob("*") if path.name == "out"]


@pytest.mark.parametrize(
    "place",
    ["../1", ".hidden/1", "Table/1", "table/0", "table/01", "table/-1", "table/latest", "table/../table/1"],
)
def test_what_lies_where_no_version_can_lie_is_none(
    url: str, mirror: Mirror, tmp_path: Path, place: str
) -> None:
    for path in write_table_model(tmp_path / "made").iterdir():
        put_anything(url, f"{place}/{path.name}", path.read_bytes() if path.is_file() else b"")

    mirror.look_now()

    assert mirror.faults() == []
    assert not list((tmp_path / "here").glob("*/*"))


def test_a_version_under_the_name_of_another_one_is_passed_over(
    url: str, mirror: Mirror, tmp_path: Path
) -> None:
    for path in write_table_model(tmp_path / "made").rglob("*"):
        if path.is_file():
            put_anything(url, f"other/3/{path.name}", path.read_bytes())

    mirror.look_now()

    assert here(tmp_path) == []


def test_a_full_disk_is_told_and_tried_again(
    mirror: Mirror, publishing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publishing()
    with monkeypatch.context() as full:
        full.setattr(
            BucketFolder,
            "download",
            lambda *_a, **_k: (_ for _ in ()).throw(OSError(28, "No space left on device")),
        )
        mirror.look_now()
    assert mirror.faults() == ["1 versions in the store of models cannot be brought here"]
    assert not list((tmp_path / "here" / "table").glob("*"))

    monkeypatch.setattr("production_server.models.mirror.time.monotonic", lambda: 1e9)
    mirror.look_now()

    assert here(tmp_path) == ["1"]


def test_one_process_of_a_machine_looks_at_a_time(
    url: str, mirror: Mirror, publishing: Any, tmp_path: Path
) -> None:
    publishing()
    other = Mirror(tmp_path / "here", remote_store_at(url))

    with mirror._turn() as is_mine:
        assert is_mine
        other.look_now()
        assert here(tmp_path) == []
    other.look_now()

    assert here(tmp_path) == ["1"]
    mirror._step()
    assert ("table", "1") not in mirror._same, "somebody has looked just now"


KILLED = """
import os, signal, sys
from pathlib import Path
from production_server.models.mirror import Mirror
from production_server.storage.writable import BucketFolder
from testing.model_buckets import remote_store_at

download = BucketFolder.download
def die(self, key, target, *, size_bytes):
    download(self, key, target, size_bytes=size_bytes)
    os.kill(os.getpid(), signal.SIGKILL)

BucketFolder.download = die
Mirror(Path(sys.argv[2]), remote_store_at(sys.argv[1])).look_now()
"""


def test_who_is_killed_while_it_downloads_leaves_nothing_half(
    url: str, mirror: Mirror, publishing: Any, tmp_path: Path
) -> None:
    publishing()
    dead = subprocess.run(
        [sys.executable, "-c", KILLED, url, str(tmp_path / "here")], timeout=60, check=False
    )
    assert dead.returncode == -9
    assert here(tmp_path) == []
    assert list((tmp_path / "here" / "table").glob(".draft-*"))

    mirror.look_now()

    assert here(tmp_path) == ["1"]
    assert not list((tmp_path / "here" / "table").glob(".*"))
