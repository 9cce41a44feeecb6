from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from production_server.errors import BrokenVersion, StoreNotWritable
from production_server.models import manifest as card
from production_server.models.drafts import Draft, draft_version, sweep_drafts
from production_server.models.store import Store
from production_server.models.store_folders import next_version, told


def manifest_of(draft: Draft) -> card.Manifest:
    return card.Manifest(
        schema_version=1,
        name="toy",
        version=draft.version,
        title="Toy",
        created=datetime(2026, 11, 20, tzinfo=UTC),
        task="image_classification",
        inputs=(card.TensorSpec(name="image", shape=(None, 8, 8, 1), dtype="float32"),),
        outputs=(card.TensorSpec(name="probabilities", shape=(None, 2), dtype="float32"),),
        image=card.ImagePreprocessing(mode="L", width=8, height=8, scale=1 / 255),
        labels=("a", "b"),
        metrics=card.Metrics(data="toys", method="none", values={"accuracy": card.Metric(mean=1.0)}),
        training_data=(),
        code_revision="unknown",
        parity=card.Parity(max_abs_difference=0.0, inputs=1000),
        files=draft.digests(),
    )


def publish(store: Path, content: bytes = b"onnx") -> Path:
    with draft_version(store, "toy") as draft:
        (draft.folder / "plots").mkdir()
        (draft.folder / "model.onnx").write_bytes(content)
        (draft.folder / "plots" / "roc.svg").write_bytes(b"<svg/>")
        return draft.publish(manifest_of(draft), check=accept)


def accept(folder: Path) -> None:
    """A check that finds nothing."""


def refuse(folder: Path) -> None:
    """A check that has seen the whole version and finds fault with it."""
    assert card.read_manifest(folder).name == "toy"
    raise BrokenVersion("a server answers otherwise")


def test_a_version_that_its_check_refuses_is_not_published(tmp_path: Path) -> None:
    with (
        draft_version(tmp_path, "toy") as draft,
        pytest.raises(BrokenVersion, match="a server answers otherwise"),
    ):
        draft.publish(manifest_of(draft), check=refuse)

    assert [path.name for path in tmp_path.iterdir()] == [".gates"]


def test_a_version_holds_a_manifest_with_the_digest_of_each_of_its_files(tmp_path: Path) -> None:
    folder = publish(tmp_path)

    manifest = card.read_manifest(folder)
    assert folder == tmp_path / "toy" / "1"
    assert set(manifest.files) == {"model.onnx", "plots/roc.svg"}
    assert manifest.files["model.onnx"].sha256 == hashlib.sha256(b"onnx").hexdigest()
    assert manifest.files["model.onnx"].size_bytes == 4


def test_a_second_draft_gives_the_next_version_and_leaves_the_first(tmp_path: Path) -> None:
    first = publish(tmp_path, b"first")
    second = publish(tmp_path, b"second")

    assert second == tmp_path / "toy" / "2"
    assert (first / "model.onnx").read_bytes() == b"first"


def test_versions_are_counted_as_numbers(tmp_path: Path) -> None:
    for name in ("9", "10", "2", "canary", "11.bak"):
        (tmp_path / name).mkdir()

    assert next_version(tmp_path) == "11"


def test_of_two_drafts_at_once_the_later_one_gets_the_next_number(tmp_path: Path) -> None:
    with draft_version(tmp_path, "toy") as draft:
        rival = publish(tmp_path, b"rival")
        (draft.folder / "model.onnx").write_bytes(b"mine")
        mine = draft.publish(manifest_of(draft), check=accept)

    assert (rival.name, mine.name) == ("1", "2")
    assert (rival / "model.onnx").read_bytes() == b"rival"
    assert card.read_manifest(mine).version == "2"
    assert sorted(path.name for path in (tmp_path / "toy").iterdir()) == ["1", "2"]


def test_many_drafts_at_once_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        folders = list(threads.map(lambda place: publish(tmp_path, b"%d" % place), range(16)))

    assert sorted(int(folder.name) for folder in folders) == list(range(1, 17))
    assert [int((folder / "model.onnx").read_bytes()) for folder in folders] == list(range(16))
    assert all(card.read_manifest(folder).version == folder.name for folder in folders)


def test_numbers_follow_those_of_the_other_stores(tmp_path: Path) -> None:
    publish(tmp_path / "built_in")
    publish(tmp_path / "built_in")

    with draft_version(tmp_path / "own", "toy", others=[tmp_path / "built_in"]) as draft:
        (draft.folder / "model.onnx").write_bytes(b"mine")
        mine = draft.publish(manifest_of(draft), check=accept)

    assert mine == tmp_path / "own" / "toy" / "3"


HOLD_A_DRAFT = """
import sys, time
from pathlib import Path
from production_server.models.drafts import draft_version
with draft_version(Path(sys.argv[1]), "toy") as draft:
    (draft.folder / "model.onnx").write_bytes(b"half")
    print(draft.folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def killed_draft(tmp_path: Path) -> Path:
    """A draft of a process that was killed in the middle."""
    command = [sys.executable, "-c", HOLD_A_DRAFT, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        publish(tmp_path)
        assert (folder / "model.onnx").exists()  # its process lives: nobody else removes it
        holder.kill()
    return folder


def test_what_a_killed_process_left_counts_for_nothing_and_is_removed_by_the_next(
    tmp_path: Path, killed_draft: Path
) -> None:
    assert (killed_draft / "model.onnx").exists()
    assert [version.key for version in Store([tmp_path]).versions()] == [("toy", "1")]

    publish(tmp_path)

    assert sorted(path.name for path in (tmp_path / "toy").iterdir()) == ["1", "2"]


PUBLISH_IN_A_SMALL_FILE = """
import resource, sys
from pathlib import Path
from production_server.errors import StoreNotWritable
from tests.unit.models.test_drafts import accept, manifest_of
from production_server.models.drafts import draft_version
with draft_version(Path(sys.argv[1]), "toy") as draft:
    (draft.folder / "model.onnx").write_bytes(b"onnx")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    try:
        draft.publish(manifest_of(draft), check=accept)
    except StoreNotWritable as exc:
        print(exc.code, exc)
"""


def test_a_full_store_is_told_and_nothing_half_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PUBLISH_IN_A_SMALL_FILE, str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.startswith("store_full there is no room for a version in the model store"), done.stderr
    assert str(tmp_path) not in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == [".gates"]
    assert publish(tmp_path).name == "1"


def fail_while_drafting(store: Path) -> None:
    with draft_version(store, "toy") as draft:
        (draft.folder / "model.onnx").write_bytes(b"half")
        raise BrokenVersion("the answers differ")


def test_a_draft_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BrokenVersion, match="the answers differ"):
        fail_while_drafting(tmp_path)

    assert not list(tmp_path.iterdir())


def test_a_store_that_is_a_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder", encoding="utf-8")

    with pytest.raises(StoreNotWritable, match="cannot be written"):
        publish(tmp_path / "store")


def test_a_store_that_is_somebody_elses_says_who_may_not_write_it() -> None:
    # Of a container's user people know the number alone.
    refusal = rf"cannot be written: Permission denied for the user {os.geteuid()}$"
    with pytest.raises(StoreNotWritable, match=refusal), told(Path("/srv/models")):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_of_drafts_at_once_each_is_checked_after_the_one_before_it_is_there(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    begun = threading.Barrier(2)

    def publish_one(_: int) -> None:
        with draft_version(tmp_path, "toy") as draft:
            begun.wait(10)
            draft.publish(manifest_of(draft), check=lambda _: seen.append(versions_in(tmp_path)))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(publish_one, range(2)))

    assert seen == [[], ["1"]]


def versions_in(store: Path) -> list[str]:
    return sorted(path.name for path in (store / "toy").glob("[0-9]*"))


def test_what_killed_processes_left_is_swept_and_what_is_held_is_not(tmp_path: Path) -> None:
    left = tmp_path / "gone" / ".draft-left"
    left.mkdir(parents=True)
    with draft_version(tmp_path, "toy") as draft:
        sweep_drafts(tmp_path)

        assert draft.folder.is_dir()
    assert not left.exists() and not left.parent.exists()


def test_a_copy_that_fails_for_want_of_room_says_so(tmp_path: Path) -> None:
    """Of several files the system's error is text alone."""
    full = shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")])
    other = shutil.Error([("a", "b", "[Errno 13] Permission denied: 'b'")])

    with pytest.raises(StoreNotWritable, match="there is no room") as refused, told(tmp_path):
        raise full
    assert refused.value.code == "store_full"
    with pytest.raises(StoreNotWritable, match="Permission denied"), told(tmp_path):
        raise other
