"""`jobs` and `models`: what the server has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from client import __version__
from client.answers import Model
from client.output import print_model
from testing.api_server import job_id
from tests.unit.client.conftest import PATIENT

if TYPE_CHECKING:
    from pathlib import Path

    from testing.api_server import ApiServer
    from tests.unit.client.conftest import Run


def test_jobs_are_listed_newest_first(run: Run, images: Path) -> None:
    run("predict", "--model", "diabetes", *PATIENT)
    run("predict", "--model", "fashion_mnist", images)

    outcome = run("jobs")

    assert outcome.code == 0
    assert [line.split()[:5] for line in outcome.stdout.splitlines()[1:]] == [
        [job_id(2), "finished", "fashion_mnist", "1", "2/2"],
        [job_id(1), "finished", "diabetes", "1", "1/1"],
    ]


def test_the_list_of_jobs_can_be_narrowed(run: Run, images: Path) -> None:
    run("predict", "--model", "diabetes", *PATIENT)
    run("predict", "--model", "fashion_mnist", images)

    listed = json.loads(run("jobs", "--model", "diabetes", "--limit", "5", "--json").stdout)

    assert [job["id"] for job in listed["jobs"]] == [job_id(1)]


def test_one_job_is_shown(run: Run) -> None:
    run("predict", "--model", "diabetes", *PATIENT)

    outcome = run("jobs", job_id(1))

    assert outcome.code == 0
    assert "items      1: 1 succeeded, 0 failed, 0 cancelled" in outcome.stdout.splitlines()


def test_a_job_is_cancelled_and_its_results_say_so(run: Run, server: ApiServer, patients: Path) -> None:
    server.items_per_look = 1
    run("predict", "--model", "diabetes", "--csv", patients, "--no-wait")

    shown = run("jobs", job_id(1))
    cancelled = run("jobs", job_id(1), "--cancel")
    waited = run("jobs", job_id(1), "--wait")

    assert "state      running" in shown.stdout
    assert (cancelled.code, "state      cancelled" in cancelled.stdout) == (0, True)
    assert waited.code == 1
    assert [line.split()[2] for line in waited.stdout.splitlines()[1:]] == [
        "positive",
        "cancelled",
        "cancelled",
    ]


def test_cancelling_needs_to_know_which_job(run: Run) -> None:
    outcome = run("jobs", "--cancel")

    assert outcome.code == 2
    assert outcome.stderr.startswith("error: --cancel, --wait and --output need the ID of a job")


@pytest.mark.parametrize("command", ["jobs", "scans"])
@pytest.mark.parametrize("word", ["nonsense", "7", "../models", "0198c5d2-7c1e-7000-8000", ""])
@pytest.mark.parametrize("more", [(), ("--cancel",), ("--wait",)])
def test_a_word_that_is_no_id_is_refused_in_the_users_words(
    run: Run, server: ApiServer, command: str, word: str, more: tuple[str, ...]
) -> None:
    outcome = run(command, word, *more)

    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr == (
        f"error: {word!r} is no ID of a {command[:-1]}: expected one such as "
        f"0198c5d2-7c1e-7000-8000-000000000000; `{command}` lists those that there are\n"
    )
    assert server.requests == []


@pytest.mark.parametrize("word", ["a/b", "..", "", "diabetes?x", "dia betes", "größe"])
def test_a_word_that_is_no_name_of_a_model_is_refused_in_the_users_words(
    run: Run, server: ApiServer, patients: Path, word: str
) -> None:
    shown = run("models", word)
    scored = run("predict", "--model", word, "--csv", patients, "--output", patients.parent / "scored.csv")

    said = [f"error: {word!r} is no name of a model: `models` lists those that there are"]
    assert (shown.code, shown.errors) == (scored.code, scored.errors) == (2, said)
    assert server.requests == []


def test_an_id_may_be_written_in_upper_case(run: Run) -> None:
    run("predict", "--model", "diabetes", *PATIENT)

    assert run("jobs", job_id(1).upper()).code == 0


def test_the_client_tells_its_version(run: Run) -> None:
    outcome = run("--version")

    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, f"Celeriac {__version__}\n", "")


def test_models_are_listed(run: Run) -> None:
    outcome = run("models")

    assert outcome.code == 0
    assert outcome.stdout.splitlines()[1].split() == ["diabetes", "tabular", "1", "stable:", "1", "Diabetes"]


def test_a_model_tells_what_it_takes_and_answers(run: Run) -> None:
    outcome = run("models", "diabetes")

    assert outcome.code == 0
    assert "labels     negative, positive" in outcome.stdout
    assert ["glucose", "mg/dL", "0", "to", "200", "50", "glucose"] in [
        line.split() for line in outcome.stdout.splitlines()
    ]


def test_of_a_thousand_labels_a_few_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    labels = [f"kind {number}" for number in range(1000)]

    print_model(Model("many", "Many", "image_classification", ["1"], {"stable": "1"}, {"labels": labels}))

    told = capsys.readouterr().out
    assert "labels     kind 0, kind 1, kind 2, kind 3, kind 4, … (1000; all of them with --json)\n" in told
    assert "on  " not in told


def test_the_whole_manifest_of_a_model_is_there_as_json(run: Run) -> None:
    assert json.loads(run("models", "diabetes", "--json").stdout)["manifest"]["labels"] == [
        "negative",
        "positive",
    ]


def test_a_command_without_arguments_shows_the_help(run: Run) -> None:
    outcome = run()

    assert outcome.code == 2
    assert "Exit codes" in outcome.stderr
