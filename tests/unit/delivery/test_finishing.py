"""Finishing a push: once, whoever dies at whatever step, and never over what somebody has said since."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from production_server.access.records import Actor
from production_server.delivery.finishing import Finishing
from production_server.delivery.records import RECORD_FILE, Delivered, Push, Pushes, import_id
from production_server.jobs.rollouts import list_rollouts
from production_server.learning.promotion import PromotionGate
from production_server.models.manifest import Source, read_manifest
from production_server.run.opened_serving import opened_serving
from production_server.serving.promoting import Wanted
from production_server.serving.serving import Serving
from production_server.settings import Settings, read_settings
from testing.fake_workers import has_loaded
from testing.small_models import write_table_model

ADA, BOB = Actor("ada"), Actor("bob")
FIRST, SECOND = "1" * 40, "2" * 40


class Killed(BaseException):
    """As `kill -9` ends it: nothing catches it."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"STATE_DIR": str(tmp_path / "state")})


@pytest.fixture
def serving(settings: Settings) -> Iterator[Serving]:
    with opened_serving(settings) as opened:
        yield replace(opened, gate=PromotionGate(margin=0.02))


@pytest.fixture
def pushes(settings: Settings) -> Pushes:
    return Pushes(settings.state_dir / "pushes")


def finishing(
    settings: Settings, serving: Serving, pushes: Pushes, say: Callable[[str], None] = lambda _: None
) -> Finishing:
    return Finishing(settings, serving, pushes, say, waits_s=0.0)


def ready(pushes: Pushes, tmp_path: Path, *models: str, commit: str = FIRST, event: int = 0) -> Push:
    """A push whose models have passed the gate, as its first hook leaves it."""
    with pushes.turn("ada"), pushes.draft() as draft:
        for model in models:
            folder = write_table_model(tmp_path / commit, model)
            manifest = read_manifest(folder)
            source = Source(
                file=f"{model}/model.onnx",
                format="onnx",
                import_id=import_id(commit, model),
                commit=commit,
                **manifest.files["model.onnx"].model_dump(),
            )
            sealed = manifest.model_copy(update={"source": source})
            (folder / "manifest.json").write_text(sealed.to_json())
            folder.rename(draft / model)
        push = Push(
            commit=commit,
            subject="Train it longer",
            actor=ADA.to_json(),
            at=datetime.now(UTC),
            receiver=(0, ""),
            models={model: Delivered(path=f"{model}/model.onnx", event=event) for model in models},
        )
        pushes.keep(draft, push)
    return push


def stable(serving: Serving, model: str) -> str:
    serving.known.look_again()
    serving.registry.look_again()
    return serving.overview.channel(model, "stable").version


def promote(serving: Serving, model: str, version: str) -> None:
    serving.registry.look_again()
    serving.promote(Wanted(model=model, version=version), by=BOB)


def test_what_passed_is_published_as_it_is_and_promoted_with_the_commit_as_the_reason(
    settings: Settings, serving: Serving, pushes: Pushes, tmp_path: Path
) -> None:
    push = ready(pushes, tmp_path, "table")

    done = finishing(settings, serving, pushes).finish(push)

    (event,) = serving.overview.history("table", limit=9)
    assert (event.after, event.client, event.reason) == ("1", "ada", "git push 11111111 Train it longer")
    assert done.models["table"].state == "live" and done.models["table"].version == "1"
    assert pushes.of(FIRST) == done
    assert [path.name for path in (pushes.folder / FIRST).iterdir()] == [RECORD_FILE]


def test_however_often_it_is_killed_at_whatever_step_each_model_is_published_and_promoted_once(
    settings: Settings, serving: Serving, pushes: Pushes, tmp_path: Path
) -> None:
    ready(pushes, tmp_path, "first", "second")
    said: list[str] = []

    def die(text: str) -> None:
        said.append(text)
        raise Killed

    for _attempt in itertools.count():
        push = pushes.of(FIRST)
        assert push is not None
        if push.is_over:
            break
        with pytest.raises(Killed):
            finishing(settings, serving, pushes, die).finish(push)
        # The line that it died at has been said: what it says after that is another step.
        push = pushes.of(FIRST)
        assert push is not None
        if said[-1].startswith(("first: version 1 is", "second: version 1 is")):
            finishing(settings, serving, pushes).finish(push)

    for model in ("first", "second"):
        assert [version.key[1] for version in serving.registry.versions(model)] == ["1"]
        assert [event.after for event in serving.overview.history(model, limit=9)] == ["1"]
        with serving.database.read() as connection:
            assert len(list_rollouts(connection, model, limit=9)) == 1
    assert any("published as version 1" in line for line in said)


def test_one_that_no_worker_can_load_does_not_go_live_and_says_why(
    settings: Settings, serving: Serving, pushes: Pushes, tmp_path: Path
) -> None:
    write_table_model(settings.model_stores[-1], "table")
    promote(serving, "table", "1")
    push = ready(pushes, tmp_path, "table", event=99)
    has_loaded(serving.database, "w1", "table/1", failing={"table/2": "no memory is left"})
    said: list[str] = []

    done = finishing(settings, serving, pushes, said.append).finish(push)
    again = finishing(settings, serving, pushes, said.append).finish(done)

    assert done.models["table"].state == "refused" and again == done
    assert "table: version 2 does not go live: w1 cannot load it: no memory is left" in said
    assert "table: version 1 serves on; main names what was pushed all the same" in said
    assert stable(serving, "table") == "1"


def test_it_goes_live_later_if_a_worker_is_still_loading_and_that_is_told_when_it_has(
    settings: Settings, serving: Serving, pushes: Pushes, tmp_path: Path
) -> None:
    push = ready(pushes, tmp_path, "table")
    has_loaded(serving.database, "w1")
    said: list[str] = []

    waiting = finishing(settings, serving, pushes, said.append).finish(push)
    has_loaded(serving.database, "w1", "table/1")
    serving.rollouts.move_on()
    done = finishing(settings, serving, pushes, said.append).finish(waiting)

    assert waiting.models["table"].state == "ready" and not waiting.is_over
    assert "table: version 1 is still loading; it goes live when all have it" in said
    assert done.models["table"].state == "live" and stable(serving, "table") == "1"


def test_what_somebody_has_promoted_meanwhile_stays(
    settings: Settings, serving: Serving, pushes: Pushes, tmp_path: Path
) -> None:
    for version in ("1", "2"):
        write_table_model(settings.model_stores[-1], "table", version)
    promote(serving, "table", "2")
    (before,) = serving.overview.history("table", limit=9)
    push = ready(pushes, tmp_path, "table", event=before.id)
    promote(serving, "table", "1")
    said: list[str] = []

    done = finishing(settings, serving, pushes, said.append).finish(push)

    assert stable(serving, "table") == "1"
    assert (done.models["table"].state, done.models["table"].version) == ("overtaken", "3")
    assert "table: version 3 waits: bob had stable name version 1 meanwhile" in said
    assert "table: to have it serve all the same: models promote table 3" in said


def test_what_was_rolled_back_after_it_had_begun_is_not_promoted_again(
    settings: Settings, serving: Serving, pushes: Pushes, tmp_path: Path
) -> None:
    write_table_model(settings.model_stores[-1], "table")
    promote(serving, "table", "1")
    (before,) = serving.overview.history("table", limit=9)
    push = ready(pushes, tmp_path, "table", event=before.id)
    died: list[str] = []

    def die_when_live(text: str) -> None:
        died.append(text)
        if "is stable" in text:
            raise Killed

    with pytest.raises(Killed):
        finishing(settings, serving, pushes, die_when_live).finish(push)
    serving.roll_back("table", by=BOB)
    done = finishing(settings, serving, pushes).finish(push)

    assert stable(serving, "table") == "1"
    assert done.is_over
    assert [event.act for event in serving.overview.history("table", limit=9)] == [
        "rolled_back",
        "set",
        "set",
    ]


def test_a_commit_that_comes_again_serves_again_though_it_has_been_promoted_before(
    settings: Settings, serving: Serving, pushes: Pushes, tmp_path: Path
) -> None:
    """Its repository was made anew: nothing of the first push is known but its version."""
    finishing(settings, serving, pushes).finish(ready(pushes, tmp_path, "table"))
    later = serving.overview.history("table", limit=1)[0].id
    finishing(settings, serving, pushes).finish(ready(pushes, tmp_path, "table", commit=SECOND, event=later))
    assert stable(serving, "table") == "2"

    event = serving.overview.history("table", limit=1)[0].id
    with serving.database.read() as connection:
        last = list_rollouts(connection, "table", limit=1)[0].id
    push = ready(pushes, tmp_path / "again", "table", event=event)
    again = Delivered(path="table/model.onnx", event=event, rollout=last)
    done = finishing(settings, serving, pushes).finish(push.model_copy(update={"models": {"table": again}}))

    assert (done.models["table"].state, done.models["table"].version) == ("live", "1")
    assert stable(serving, "table") == "1"


def test_what_was_made_ready_and_is_damaged_or_gone_is_never_published(
    settings: Settings, serving: Serving, pushes: Pushes, tmp_path: Path
) -> None:
    push = ready(pushes, tmp_path, "damaged", "gone")
    (pushes.ready(FIRST, "damaged") / "model.onnx").write_bytes(b"damaged")
    for path in pushes.ready(FIRST, "gone").iterdir():
        path.unlink()
    pushes.ready(FIRST, "gone").rmdir()

    done = finishing(settings, serving, pushes).finish(push)

    assert {each.state for each in done.models.values()} == {"refused"}
    assert not {"damaged", "gone"} & set(serving.registry.model_names())
