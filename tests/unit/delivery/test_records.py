"""What is kept of pushes, whose turn it is, and what is swept."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from production_server.delivery import records
from production_server.delivery.records import RECORD_FILE, Delivered, Push, Pushes, State
from production_server.errors import Unavailable

ME = (os.getpid(), records._began(os.getpid()))
NOBODY = (0, "")


@pytest.fixture
def pushes(tmp_path: Path) -> Pushes:
    return Pushes(tmp_path / "pushes")


def kept(pushes: Pushes, name: str, state: State, receiver: tuple[int, str] = NOBODY, age_s: int = 0) -> Push:
    push = Push(
        commit=name * 40,
        subject="A subject",
        actor={"client": "ada"},
        at=datetime.now(UTC) - timedelta(seconds=age_s),
        receiver=receiver,
        models={"table": Delivered(path="table/model.onnx", event=0, state=state)},
    )
    with pushes.turn("ada"), pushes.draft() as draft:
        (draft / "table").mkdir()
        pushes.keep(draft, push)
    return push


def test_a_second_one_is_told_who_has_the_turn_and_since_when(pushes: Pushes) -> None:
    said: list[str] = []

    with (
        pushes.turn("ada"),
        pytest.raises(Unavailable, match=r"^ada since .* UTC is pushing"),
        pushes.turn("bob", say=said.append, waits_s=0.1),
    ):
        pass
    with pushes.turn("bob", waits_s=0):
        pass

    assert len(said) == 1 and said[0].startswith("Waiting for another push: ada since ")


def test_a_holder_that_is_killed_holds_nothing(pushes: Pushes) -> None:
    code = (
        "import sys, time; from pathlib import Path; from production_server.delivery.records import Pushes\n"
        f"with Pushes(Path({str(pushes.folder)!r})).turn('ada'): print('in', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "in\n"
        holder.kill()
        holder.wait()

    with pushes.turn("bob", waits_s=0):
        pass


def test_between_its_hooks_a_push_has_the_turn_as_long_as_its_git_lives(pushes: Pushes) -> None:
    kept(pushes, "a", "ready", ME)
    with pytest.raises(Unavailable, match="ada since"), pushes.turn("bob", waits_s=0):
        pass

    kept_by_another = (os.getpid(), "a process that began earlier and had this number")
    kept(Pushes(pushes.folder.parent / "others"), "a", "ready", kept_by_another)
    with Pushes(pushes.folder.parent / "others").turn("bob", waits_s=0):
        pass


def test_only_what_nobody_may_need_is_swept(pushes: Pushes) -> None:
    for name, state, receiver in (("a", "live", NOBODY), ("b", "ready", NOBODY), ("c", "ready", NOBODY)):
        kept(pushes, name, state, receiver)  # type: ignore[arg-type]  # a State
    kept(pushes, "d", "ready", ME)
    (pushes.folder / ("e" * 40)).mkdir()
    (pushes.folder / ("f" * 40)).mkdir()
    (pushes.folder / ("f" * 40) / RECORD_FILE).write_text('{"of": "a later release"}')

    pushes.sweep(lambda commit: commit == "b" * 40)

    assert sorted(push.commit[0] for push in pushes.all()) == ["a", "b", "d"]
    assert not (pushes.folder / ("e" * 40)).exists()
    assert (pushes.folder / ("f" * 40)).exists()


def test_records_of_pushes_that_are_over_are_kept_up_to_a_number(
    pushes: Pushes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_KEPT", 1)
    kept(pushes, "a", "live", age_s=20)
    kept(pushes, "b", "live", age_s=10)
    kept(pushes, "c", "ready", age_s=30)

    pushes.sweep(lambda _commit: True)

    assert [push.commit[0] for push in pushes.all()] == ["b", "c"]


def test_what_is_over_keeps_no_files(pushes: Pushes) -> None:
    push = kept(pushes, "a", "ready")
    over = push.model_copy(
        update={"models": {"table": push.models["table"].model_copy(update={"state": "live"})}}
    )

    pushes.note(over)

    assert not pushes.ready("a" * 40, "table").exists()
    assert pushes.of("a" * 40) == over


def test_a_draft_that_is_not_kept_leaves_nothing(pushes: Pushes) -> None:
    with pushes.turn("ada"), pushes.draft() as draft:
        (draft / "table").mkdir()

    assert [path.name for path in pushes.folder.iterdir()] == ["lock"]


def test_a_process_that_nobody_has_asked_how_it_ended_is_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert ended.stdout is not None
    with ended.stdout:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)

        began = records._began(ended.pid)

        ended.wait()
    assert began == ""


def test_a_draft_of_long_ago_is_seen_and_one_in_the_making_is_not(tmp_path: Path) -> None:
    pushes = Pushes(tmp_path / "pushes")
    assert not pushes.has_left_drafts()
    with pushes.turn("ada"), pushes.draft() as draft:
        before = pushes.has_left_drafts()
        os.utime(draft, (0, 0))
        after = pushes.has_left_drafts()

    assert (before, after) == (False, True)
