"""What is finished of several pushes, and how models of main are said to stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from production_server.delivery.git import MAIN, Git
from production_server.delivery.pushes import Delivery
from production_server.delivery.repository import make_repository
from production_server.errors import Unavailable
from production_server.learning.promotion import PromotionGate
from production_server.run.opened_serving import opened_serving
from production_server.settings import Settings, read_settings
from tests.unit.delivery.test_finishing import ready, stable
from tests.unit.delivery.test_trees import blob, tree, written


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"STATE_DIR": str(tmp_path / "state")})


@pytest.fixture
def delivery(settings: Settings, tmp_path: Path) -> Iterator[Delivery]:
    git = make_repository(tmp_path / "models.git", settings, {})
    with opened_serving(settings) as opened:
        serving = replace(opened, gate=PromotionGate(margin=0.02))
        yield Delivery(settings, serving, git, lambda _line: None)


def commit(git: Git, text: str, *parents: str) -> str:
    """A commit of the models `table` and `other`, of which the first has another file each time."""
    same, changed = (tree(git, f"100644 blob {blob(git, each)}\tx.onnx") for each in ("same", text))
    top = tree(git, f"040000 tree {same}\tother", f"040000 tree {changed}\ttable")
    before = [word for parent in parents for word in ("-p", parent)]
    return written(git, "commit-tree", *before, "-m", text, top, text="")


def test_of_two_pushes_that_died_the_later_one_is_live_and_the_earlier_one_keeps_what_is_its_own(
    delivery: Delivery, tmp_path: Path
) -> None:
    first = commit(delivery.git, "first")
    second = commit(delivery.git, "second", first)
    ready(delivery.pushes, tmp_path, "table", "other", commit=first)
    ready(delivery.pushes, tmp_path, "table", commit=second)
    delivery.git.run("update-ref", MAIN, second)

    left = delivery.reconcile()

    assert left == []
    earlier = delivery.pushes.of(first)
    assert earlier is not None
    assert {name: each.state for name, each in earlier.models.items()} == {
        "table": "overtaken",
        "other": "live",
    }
    manifest = delivery.serving.registry.version("table", stable(delivery.serving, "table")).manifest
    assert manifest.source is not None and manifest.source.commit == second
    assert [(each.model, each.commit, each.serves, each.state) for each in delivery.status()] == [
        ("other", first, "1", "live"),
        ("table", second, "1", "live"),
    ]


def test_what_main_never_named_is_not_finished_but_swept(delivery: Delivery, tmp_path: Path) -> None:
    first = commit(delivery.git, "first")
    second = commit(delivery.git, "second", first)
    delivery.git.run("update-ref", MAIN, first)
    ready(delivery.pushes, tmp_path, "table", commit=second)

    assert delivery.reconcile() == []

    assert delivery.pushes.all() == []
    assert "table" not in delivery.serving.registry.model_names()


def test_a_reconciler_does_not_wait_for_whoever_pushes(delivery: Delivery) -> None:
    with delivery.pushes.turn("ada"), pytest.raises(Unavailable, match=r"^ada since"):
        delivery.reconcile()


def test_models_of_main_of_which_no_push_is_known_are_shown(delivery: Delivery) -> None:
    delivery.git.run("update-ref", MAIN, commit(delivery.git, "first"))

    assert [(each.model, each.commit, each.serves) for each in delivery.status()] == [
        ("other", None, None),
        ("table", None, None),
    ]
