"""Versions that come by `git push`, by git itself over a path: refused, live, or finished after a death."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import onnx
import pytest

from production_server.delivery.records import Pushes
from production_server.models.manifest import digest_of, read_manifest
from testing.celeriac import Celeriac
from testing.model_repository import ModelClone, ModelRepository
from testing.processes import wait_until
from testing.small_models import write_slow_model, write_table_model

ROOT = Path(__file__).parents[2]
IRIS = ROOT / "examples/iris.onnx"
STRICT = {"threshold": {"value": 0.9, "reason": "a test"}}
"""The table model's answers are never so sure: with this all are "no"."""
SAMPLE = "index,weight,outcome\n" + "".join(
    f"{index},5,{'no' if index < 4 else 'yes'}\n" for index in range(10)
)
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> ModelRepository:
    """One with `table` in its store, whose commit main names, for what is refused and so changes nothing."""
    made = ModelRepository(
        tmp_path_factory.mktemp("pushes"), GATE_LATENCY="3", IMPORT_FILE_BYTES="100000"
    ).init()
    clone = made.clone("first")
    put_version(clone, "table")
    clone.commit("Begin with a table")
    pushed = clone.push()
    assert pushed.code == 0, pushed.said
    return made


@pytest.fixture
def clone(repository: ModelRepository, tmp_path: Path) -> Iterator[ModelClone]:
    """A clone whose pushes must change nothing."""
    before = everything(repository)
    folder = tmp_path / "clone"
    yield repository.clone(str(folder))
    assert everything(repository) == before


@pytest.fixture
def own(tmp_path: Path) -> ModelRepository:
    """A repository of the test's own, with nothing in it."""
    return ModelRepository(tmp_path).init()


def everything(repository: ModelRepository) -> dict[str, Any]:
    """What a push that is refused must leave as it was."""
    store, pushes = repository.state / "models", repository.state / "pushes"
    return {
        "main": repository.main,
        "versions": sorted(str(path.relative_to(store)) for path in store.glob("[!.]*/*")),
        "pushes": sorted(path.name for path in pushes.iterdir() if path.name != "lock"),
        "changes": changes(repository),
    }


def changes(repository: ModelRepository) -> list[tuple[Any, ...]]:
    """What the history tells, in its order: model, act, and what `stable` names then."""
    with closing(sqlite3.connect(repository.state / "celeriac.sqlite3")) as database:
        return database.execute("SELECT model, act, after, client FROM channel_event ORDER BY id").fetchall()


def versions(repository: ModelRepository, model: str) -> list[str]:
    return sorted(path.name for path in (repository.state / "models" / model).glob("[1-9]*"))


def put_version(clone: ModelClone, name: str, **changes: Any) -> Path:
    """A version as the training writes it, in its folder of a clone."""
    made = write_table_model(clone.folder.parent / f"made-{clone.folder.name}", name, **changes)
    return moved(made, clone, name)


def moved(made: Path, clone: ModelClone, name: str) -> Path:
    shutil.rmtree(clone.folder / name, ignore_errors=True)
    return Path(shutil.move(made, clone.folder / name))


def put_iris(clone: ModelClone, **description: str) -> None:
    """A foreign file, with what is said of it."""
    (clone.folder / "iris").mkdir(exist_ok=True)
    shutil.copy(IRIS, clone.folder / "iris/iris.onnx")
    told = {"title": "Iris"} | description
    (clone.folder / "iris/model.yaml").write_text("".join(f"{name}: {text}\n" for name, text in told.items()))


def relist(folder: Path) -> None:
    """Have a manifest list the files as they are now."""
    manifest = read_manifest(folder)
    files = {name: digest_of(folder / name) for name in manifest.files}
    (folder / "manifest.json").write_text(manifest.model_copy(update={"files": files}).to_json())


def answer_nan(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    model.graph.node[-1].output[0] = "answered"
    model.graph.node.append(onnx.helper.make_node("Log", ["answered"], ["probabilities"]))
    onnx.save(model, folder / "model.onnx")
    relist(folder)


def test_every_kind_of_broken_version_is_refused_with_its_reason_and_all_are_told(
    repository: ModelRepository, clone: ModelClone
) -> None:
    made = clone.folder.parent / "made"
    put_version(clone, "cut")
    (clone.folder / "cut/model.onnx").write_bytes((clone.folder / "cut/model.onnx").read_bytes()[:200])
    shutil.copytree(clone.folder / "table", clone.folder / "renamed")
    (clone.folder / "half").mkdir()
    (clone.folder / "half/half.onnx").write_bytes(IRIS.read_bytes()[:400])
    for name in ("infinite", "worse", "other"):
        write_table_model(repository.state / "models", name)
    write_slow_model(repository.state / "models", "slow", turns=1)
    answer_nan(put_version(clone, "infinite"))
    put_version(clone, "worse", **STRICT)
    (clone.folder / "worse/sample.csv").write_text(SAMPLE)
    put_version(clone, "other", labels=["no", "maybe"])
    moved(write_slow_model(made, "slow", turns=20_000), clone, "slow")
    clone.commit("Break everything")

    try:
        pushed = clone.push()
    finally:
        for name in ("infinite", "worse", "other", "slow"):
            shutil.rmtree(repository.state / "models" / name)

    said = pushed.remote
    assert pushed.code == 1 and "pre-receive hook declined" in pushed.said
    assert "cut: refused. cut/model.onnx: expected SHA-256 " in said
    assert "half: refused. file: expected a model: ONNX" in said
    assert "got an ONNX file that is cut off" in said
    assert "renamed: refused. renamed/manifest.json: name: expected renamed, as its folder, got table" in said
    assert "edges: expected numbers, for zeros and at the ends of the ranges, got NaN or infinity" in said
    assert (
        "metrics: expected at most 0.02 worse than the version that serves, got error rate 0.6 instead of 0"
        in said
    )
    assert "other: refused. signature: expected what clients of this name send and get now" in said
    assert (
        "slow: refused. latency: expected at most 3 times as long as the version that serves, got p50 "
        in said
    )
    assert (
        "REFUSED: cut, half, infinite, other, renamed, slow, worse cannot serve so: nothing was changed"
        in said
    )


def test_what_is_no_file_of_a_model_is_refused_by_name(clone: ModelClone) -> None:
    put_version(clone, "links")
    (clone.folder / "links/plot.svg").symlink_to("/etc/passwd")
    (clone.folder / "table/README.md").write_text("Another one.")
    (clone.folder / "pointer").mkdir()
    (clone.folder / "pointer/model.onnx").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    )
    (clone.folder / "large").mkdir()
    (clone.folder / "large/model.onnx").write_bytes(os.urandom(100_001))
    clone.commit("Bring what is none")

    said = clone.push().remote

    assert "links/plot.svg: expected a file or a folder, got a symbolic link" in said
    assert "pointer/model.onnx: expected the file itself: this server does not speak Git LFS" in said
    assert "large/model.onnx: expected at most 100,000 bytes (IMPORT_FILE_BYTES): larger ones come by" in said
    assert "`models import` from a bucket, got 100,001" in said
    assert "REFUSED: large, links, pointer cannot serve so" in said


def test_a_folder_with_no_name_of_a_model_and_a_submodule_are_refused(clone: ModelClone) -> None:
    (clone.folder / "My Model").mkdir()
    (clone.folder / "My Model/model.onnx").write_bytes(b"")
    clone.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},other")
    (clone.folder / "other").mkdir()
    clone.commit("Bring other folders")

    said = clone.push().remote

    assert "other: expected a file or a folder, got a submodule" in said
    assert "My Model: expected a model's name" in said


def test_other_branches_tags_deletions_and_forced_pushes_are_refused_with_a_sentence(
    repository: ModelRepository, clone: ModelClone
) -> None:
    clone.git("tag", "v1")
    branch, tag, gone = clone.push("HEAD:experiment"), clone.push("v1"), clone.push("--delete", "main")
    clone.git("commit", "--quiet", "--amend", "--message", "Another past")
    forced = clone.push("--force", "main")

    assert (
        "REFUSED: branch: expected only main, which is what serves (git push production HEAD:main), got experiment"
        in branch.remote
    )
    assert "got refs/tags/v1" in tag.remote
    assert "REFUSED: main: expected a commit: what serves is not deleted, got nothing" in gone.remote
    assert f"REFUSED: main: expected a commit that comes after {repository.main[:8]}" in forced.remote
    assert {branch.code, tag.code, gone.code, forced.code} == {1}


def test_a_shallow_push_is_refused(repository: ModelRepository, clone: ModelClone) -> None:
    clone.git("commit", "--quiet", "--allow-empty", "--message", "More")
    shallow = ModelClone(clone.folder.parent / "shallow")
    clone.git("clone", "--quiet", "--depth=1", f"file://{clone.folder}", str(shallow.folder))
    shallow.git("remote", "add", "production", str(repository.path))
    shallow.git("checkout", "--quiet", "--orphan", "main2")
    shallow.git("checkout", "--quiet", "main")
    shallow.commit("On a cut history")

    pushed = shallow.push("--force", "main")

    assert pushed.code == 1 and "shallow update not allowed" in pushed.said


def test_a_push_waits_for_another_one_and_is_refused_if_that_has_moved_main(
    repository: ModelRepository, clone: ModelClone
) -> None:
    before = repository.main
    clone.commit("Come second")
    with Pushes(repository.state / "pushes").turn("ada"):
        second = clone.start_push()
        said = lines_until(second, "Waiting for another push: ada since")
        moved = clone.git(
            "--git-dir",
            str(repository.path),
            "commit-tree",
            "-p",
            before,
            "-m",
            "first",
            f"{before}^{{tree}}",
        )
        clone.git("--git-dir", str(repository.path), "update-ref", "refs/heads/main", moved)
    said += second.communicate(timeout=60)[0]
    clone.git("--git-dir", str(repository.path), "update-ref", "refs/heads/main", before)

    assert f"REFUSED: main has moved meanwhile, to {moved[:8]}: git pull, and push" in said


def test_of_two_pushes_at_once_one_is_live_and_the_other_one_is_told(own: ModelRepository) -> None:
    clones = [own.clone(name) for name in ("ada", "bob")]
    for clone, name in zip(clones, ("first", "second"), strict=True):
        put_version(clone, name)
        clone.commit(f"Begin with {name}")

    running = [clone.start_push() for clone in clones]
    said = [push.communicate(timeout=100)[0] for push in running]

    codes = [push.returncode for push in running]
    assert sorted(codes) == [0, 1], said
    lost = said[codes.index(1)]
    assert "Waiting for another push: " in lost and "REFUSED: main has moved meanwhile" in lost
    assert own.main == clones[codes.index(0)].git("rev-parse", "HEAD")
    assert [(model, after) for model, _, after, _ in changes(own)] == [
        (["first", "second"][codes.index(0)], "1")
    ]


def lines_until(push: Any, part: str) -> str:
    """What a push has said, up to a line with `part` in it."""
    said = ""
    while part not in said:
        line = push.stdout.readline()
        assert line, said
        said += line
    return said


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["export DATABASE_URL=postgresql://nobody@127.0.0.1:1/none"], "the database does not answer"),
        (
            [
                "export MODEL_STORE=s3://nowhere/models AWS_ENDPOINT_URL=http://127.0.0.1:1 AWS_MAX_ATTEMPTS=1",
                "export AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b",
            ],
            "the model store does not say what was published",
        ),
        # 512 KiB: neither what is unpacked nor the database has room.
        (["ulimit -f 1024"], "there is no room"),
    ],
    ids=["database", "bucket", "disk"],
)
def test_where_something_is_away_or_full_the_push_is_refused_in_a_sentence(
    repository: ModelRepository, clone: ModelClone, lines: list[str], why: str
) -> None:
    put_version(clone, "more")
    (clone.folder / "more/README.md").write_text("x" * 700_000)
    (clone.folder / "more/sample.csv").write_text(SAMPLE)
    clone.commit("Bring one more")
    kept = repository.hooks_settings.read_text()
    repository.set_for_hooks(["export IMPORT_FILE_BYTES=1000000", *lines])
    try:
        pushed = clone.push()
    finally:
        repository.hooks_settings.write_text(kept)

    assert pushed.code == 1
    assert why in pushed.remote, pushed.said


def test_a_client_of_ssh_gets_git_for_this_repository_and_nothing_else(repository: ModelRepository) -> None:
    path = repository.path

    def served(asked: str) -> str:
        done = repository.run("repository", "serve", SSH_ORIGINAL_COMMAND=asked)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
        return done.stderr

    for asked in ("", f"git-upload-pack --strict '{path}'"):
        assert f"this key may only push to {path} and fetch from it" in served(asked)


def test_pushing_and_fetching_through_the_forced_command(own: ModelRepository, tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    command = f'exec "{sys.executable}" -m production_server repository serve'
    lines = [
        "#!/bin/sh",
        "for last; do :; done",
        f'export SSH_ORIGINAL_COMMAND="$last" CELERIAC_PUSHER=ada STATE_DIR={own.state} PYTHONPATH={ROOT}',
        command,
    ]
    ssh.write_text("\n".join((*lines, "")))
    ssh.chmod(0o700)
    clone = own.clone()
    clone.git("config", "core.sshCommand", str(ssh))
    clone.git("remote", "set-url", "production", f"ssh://celeriac@production{own.path}")
    put_iris(clone)
    commit = clone.commit("Begin with iris")

    pushed = clone.push()
    clone.git("fetch", "--quiet", "production")

    assert pushed.code == 0, pushed.said
    assert changes(own) == [("iris", "set", "1", "ada")]
    assert clone.git("rev-parse", "production/main") == commit


def test_a_push_goes_live_and_says_what_the_gate_found(own: ModelRepository) -> None:
    clone = own.clone()
    put_iris(clone)
    (clone.folder / "README.md").write_text("Our models.")
    (clone.folder / ".github").mkdir()
    (clone.folder / ".github/My Workflow.yml").write_text("x")
    first = clone.commit("Begin with iris")
    pushed = clone.push()
    put_iris(clone, description="Measured again")
    put_version(clone, "table")
    second = clone.commit('Say "more" of iris')
    again = clone.push()
    (clone.folder / "README.md").write_text("Our good models.")
    shutil.rmtree(clone.folder / "table")
    clone.commit("Take the table out")
    third = clone.push()

    assert (pushed.code, again.code, third.code) == (0, 0, 0), pushed.said + again.said + third.said
    assert f'{first[:8]} "Begin with iris": 1 model changed.' in pushed.remote
    assert "no worker lives: it serves as soon as one has started" in pushed.remote
    assert f'{second[:8]} "Say "more" of iris": 2 models changed.' in again.remote
    assert "latency passed p50 " in again.remote
    assert "iris: version 2 is stable, loaded in 0.0 s; before it was version 1" in again.remote
    assert "table: version 1 is stable" in again.remote
    assert "table: its folder is gone. That retires nothing" in third.remote
    assert "No model has changed: nothing goes live by this push." in third.remote
    assert [(model, after) for model, _, after, _ in changes(own)] == [
        ("iris", "1"),
        ("iris", "2"),
        ("table", "1"),
    ]
    source = read_manifest(own.state / "models/iris/2").source
    assert source is not None
    assert (source.commit, source.file) == (second, "iris/iris.onnx")
    shown = own.run("models", "show", "iris").stdout
    assert "from      iris/iris.onnx (skl2onnx" in shown and f", commit {second[:8]}" in shown
    kept = json.loads(own.run("repository", "status", "--json").stdout)
    assert [(each["model"], each["serves"], each["version"], each["state"]) for each in kept["models"]] == [
        ("iris", "2", "2", "live")
    ]


def test_what_the_repository_has_comes_back_where_store_or_repository_are_new(own: ModelRepository) -> None:
    clone = own.clone()
    put_iris(clone)
    first = clone.commit("Tell irises apart")
    clone.push()
    put_iris(clone, title="Irises")
    clone.commit("Call them irises")
    assert clone.push().code == 0 and versions(own, "iris") == ["1", "2"]

    shutil.rmtree(own.path)
    own.init()
    again = clone.push(f"{first}:refs/heads/main")

    assert again.code == 0, again.said
    assert "This commit has been pushed before: it is version 1" in again.remote
    assert "iris: version 1 is stable" in again.remote and versions(own, "iris") == ["1", "2"]
    assert changes(own)[-1][:3] == ("iris", "set", "1")

    for path in own.state.iterdir():
        if path != own.path:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    clone.git("reset", "--quiet", "--hard", first)
    clone.commit("Nothing else")
    back = clone.push()

    assert back.code == 0, back.said
    assert versions(own, "iris") == ["1"] and "iris: version 1 is stable" in back.remote


def test_what_died_after_main_has_moved_is_finished_once(own: ModelRepository) -> None:
    clone = own.clone()
    put_iris(clone)
    commit = clone.commit("Begin with iris")
    own.replace_hook("post-receive", "kill -9 $PPID", "kill -9 $$")
    clone.push()
    assert (own.main, versions(own, "iris")) == (commit, [])

    first, second = own.run("repository", "reconcile"), own.run("repository", "reconcile")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "iris: version 1 is stable" in first.stdout and second.stdout == ""
    assert versions(own, "iris") == ["1"]
    assert [(model, after) for model, _, after, _ in changes(own)] == [("iris", "1")]


def test_what_died_before_main_has_moved_leaves_nothing(own: ModelRepository) -> None:
    clone = own.clone()
    put_iris(clone)
    clone.commit("Begin with iris")
    kept = (own.path / "hooks/pre-receive").read_text()
    own.replace_hook("pre-receive", *kept.replace("exec ", "").splitlines()[1:], "kill -9 $PPID")

    died = clone.push()
    left = [path.name for path in (own.state / "pushes").iterdir() if path.name != "lock"]
    reconciled = own.run("repository", "reconcile")

    assert died.code != 0 and len(left) == 1
    assert (reconciled.returncode, own.main, versions(own, "iris")) == (0, "", [])
    assert [path.name for path in (own.state / "pushes").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("whom", "at"),
    [
        ("client", "Reading iris.onnx"),
        ("client", "published as version 1"),
        ("hook", "Loading it as a worker does"),
        ("hook", "published as version 1"),
    ],
)
def test_whoever_is_killed_at_a_step_it_is_live_once_or_nothing_has_changed(
    own: ModelRepository, whom: str, at: str
) -> None:
    clone = own.clone()
    put_iris(clone)
    commit = clone.commit("Begin with iris")
    push = clone.start_push()
    lines_until(push, at)

    if whom == "client":
        os.kill(push.pid, signal.SIGKILL)
    else:
        for pid in hooks(own):
            os.kill(pid, signal.SIGKILL)
    push.communicate(timeout=60)
    wait_until(lambda: not hooks(own), what="the hooks have ended")
    done = own.run("repository", "reconcile")

    assert done.returncode == 0, done.stderr
    if own.main:
        assert (own.main, versions(own, "iris")) == (commit, ["1"])
        assert [(model, after) for model, _, after, _ in changes(own)] == [("iris", "1")]
    else:
        assert (versions(own, "iris"), changes(own)) == ([], [])
        assert [path.name for path in (own.state / "pushes").iterdir()] == ["lock"]


def hooks(repository: ModelRepository) -> list[int]:
    """The processes of its hooks."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"hook" in words and str(repository.path).encode() in words:
            found.append(int(path.parent.name))
    return found


def test_a_service_takes_pushes_and_finishes_those_that_died(tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path)
    service = Celeriac(tmp_path, MODELS_REPOSITORY=str(repository.path), GATE_LATENCY="1000")
    try:
        service.start()
        clone = repository.clone()
        put_iris(clone)
        clone.commit("Begin with iris")
        pushed = clone.push()
        assert pushed.code == 0, pushed.said
        live = service.web.get("/v2/models/iris").json()
        repository.replace_hook("post-receive", "kill -9 $PPID")
        put_iris(clone, description="Measured again")
        clone.commit("Say more of iris")
        clone.push()
        wait_until(lambda: stable_of(service) == "2", what="the service has finished it", timeout_s=60)
    finally:
        service.close()

    assert live["versions"] == ["1"]
    assert "iris: version 1 is stable, loaded in " in pushed.remote
    assert "no worker lives" not in pushed.remote
    assert f"git remote add production {repository.path}" in service.log


def stable_of(service: Celeriac) -> str:
    channels = service.web.get("/api/models/iris/channels").json()["channels"]
    return str(next(each["version"] for each in channels if each["channel"] == "stable"))
