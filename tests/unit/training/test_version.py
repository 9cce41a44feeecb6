from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from production_server.models import manifest as card
from production_server.training.errors import ExportError
from production_server.training.version import Draft, draft_version, next_version

if TYPE_CHECKING:
    from pathlib import Path


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
    raise ExportError("a server answers otherwise")


def test_a_version_that_its_check_refuses_is_not_published(tmp_path: Path) -> None:
    with (
        draft_version(tmp_path, "toy") as draft,
        pytest.raises(ExportError, match="a server answers otherwise"),
    ):
        draft.publish(manifest_of(draft), check=refuse)

    assert not list(tmp_path.iterdir())


def test_a_version_holds_a_manifest_with_the_digest_of_each_of_its_files(tmp_path: Path) -> None:
    folder = publish(tmp_path)

    manifest = card.read_manifest(folder)
    assert folder == tmp_path / "toy" / "1"
    assert set(manifest.files) == {"model.onnx", "plots/roc.svg"}
    assert manifest.files["model.onnx"].sha256 == hashlib.sha256(b"onnx").hexdigest()
    assert manifest.files["model.onnx"].size_bytes == 4


def test_a_second_training_gives_the_next_version_and_leaves_the_first(tmp_path: Path) -> None:
    first = publish(tmp_path, b"first")
    second = publish(tmp_path, b"second")

    assert second == tmp_path / "toy" / "2"
    assert (first / "model.onnx").read_bytes() == b"first"


def test_versions_are_counted_as_numbers(tmp_path: Path) -> None:
    for name in ("9", "10", "2", "canary", "11.bak"):
        (tmp_path / name).mkdir()

    assert next_version(tmp_path) == "11"


def test_an_existing_version_is_never_overwritten(tmp_path: Path) -> None:
    with draft_version(tmp_path, "toy") as draft:
        rival = publish(tmp_path, b"rival")
        (draft.folder / "model.onnx").write_bytes(b"mine")

        with pytest.raises(ExportError, match="versions never change"):
            draft.publish(manifest_of(draft), check=accept)

    assert (rival / "model.onnx").read_bytes() == b"rival"
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["1"]


def fail_while_drafting(store: Path) -> None:
    with draft_version(store, "toy") as draft:
        (draft.folder / "model.onnx").write_bytes(b"half")
        raise ExportError("the answers differ")


def test_a_draft_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="the answers differ"):
        fail_while_drafting(tmp_path)

    assert not list(tmp_path.iterdir())


def test_a_store_that_is_a_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder", encoding="utf-8")

    with pytest.raises(ExportError, match="cannot be written"):
        publish(tmp_path / "store")
