"""The client's commands train and training-runs, against a service: a run is followed, left, cancelled and resumed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from client.cli import main
from testing.blobs import blobs, label, latest_run, prepare
from testing.celeriac import Celeriac, celeriac

FIRST = """
import pathlib, sys, time
here = pathlib.Path(__file__).parent
while (here / "wait").exists():
    time.sleep(0.05)
if (here / "fail").exists():
    sys.exit("\\x1b[31mno memory")
"""


class Run(Protocol):
    """Runs the command line; answers its exit code, and what it said on stdout and stderr."""

    def __call__(self, *arguments: str) -> tuple[int, str, str]: ...


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    folder = tmp_path_factory.mktemp("service")
    with celeriac(folder, LEARNING_FILE=str(prepare(folder, first=FIRST))) as service:
        rows, truths = blobs(120, seed=2)
        label(service, service.wait_for(service.submit("blobs", rows.tolist())), truths)
        yield service


@pytest.fixture
def run(service: Celeriac, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("CELERIAC_URL", service.url)

    def run_client(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_client


def test_a_run_is_followed_to_its_end(run: Run) -> None:
    code, out, _ = run("train", "blobs", "--json")

    told = json.loads(out)
    assert (code, told["state"], told["step"], told["why"]) == (0, "succeeded", "done", "hand"), told
    assert told["changed"]["answered"] == 120
    told_again = run("training-runs", told["id"])[1]
    assert f"changed    {told['changed']['changed']} of 120 answers" in told_again
    assert told["id"] in run("training-runs", "--model", "blobs")[1]
    assert json.loads(run("training-runs", "--model", "other", "--json")[1]) == {"runs": []}


def test_one_that_fails_says_why_and_goes_on_when_it_is_told_to(service: Celeriac, run: Run) -> None:
    fails = service.directory / "fail"
    fails.touch()
    code, out, _ = run("train", "blobs")
    assert code == 1
    assert "error      training_failed: the training ended with 1" in out
    run_id = latest_run(service)["id"]
    assert run("training-runs", run_id, "--log") == (0, "no memory\n", ""), "no colours"
    fails.unlink()

    code, out, _ = run("training-runs", run_id, "--resume", "--wait", "--json")

    assert (code, json.loads(out)["state"]) == (0, "succeeded"), out


def test_one_that_is_left_goes_on(service: Celeriac, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = service.directory / "wait"
    waits.touch()
    code, out, err = run("train", "blobs", "--timeout", "0.6")
    run_id = latest_run(service)["id"]
    assert (code, out) == (4, "")
    assert f"The training run goes on. Pick it up with: python -m client training-runs {run_id} --wait" in err
    assert run("train", "blobs")[0] == 3, "it is being trained"
    with monkeypatch.context() as patched:
        patched.setattr("client.training.status", ctrl_c)
        code, _, err = run("training-runs", run_id, "--wait")
    assert (code, "The training run goes on" in err) == (130, True)
    assert latest_run(service)["state"] == "open"

    waits.unlink()
    code, out, _ = run("training-runs", run_id, "--wait")
    assert (code, "state      succeeded" in out) == (0, True)


def test_one_that_is_cancelled_does_not_go_on(service: Celeriac, run: Run) -> None:
    waits = service.directory / "wait"
    waits.touch()
    run_id = run("train", "blobs", "--no-wait")[1].strip()

    code, out, _ = run("training-runs", run_id, "--cancel")

    waits.unlink()
    assert (code, "state      cancelled" in out) == (0, True)
    assert run("training-runs", run_id, "--wait")[0] == 1


def test_what_cannot_be_asked_is_said(run: Run) -> None:
    assert run("train", "nothing")[0] == 3
    assert "blobs" in run("train", "nothing")[2], "which have a policy"
    assert run("training-runs", "--wait")[0] == 2
    assert "`training-runs` lists" in run("training-runs", "that")[2]


@contextlib.contextmanager
def ctrl_c(_options: object) -> Iterator[Callable[[str], None]]:
    """Somebody presses it when told what is being done."""

    def tell(_text: str) -> None:
        raise KeyboardInterrupt

    yield tell
