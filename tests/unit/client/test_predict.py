"""`predict`: what is typed becomes one job, and its results are shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from testing.api_server import job_id
from tests.unit.client.conftest import PATIENT, PNG

if TYPE_CHECKING:
    from pathlib import Path

    from testing.api_server import ApiServer
    from tests.unit.client.conftest import Run


def test_a_row_of_numbers_is_predicted(run: Run) -> None:
    outcome = run("predict", "--model", "diabetes", *PATIENT)

    assert outcome.code == 0
    assert outcome.stdout.split("\n")[1].split() == ["row", "1", "positive", "75.0%"]
    assert outcome.stderr == ""


def test_results_that_came_with_the_answer_are_not_asked_for_again(run: Run, server: ApiServer) -> None:
    outcome = run("predict", "--model", "diabetes", *PATIENT, "--json")

    shown = json.loads(outcome.stdout)
    assert server.requests == ["POST /api/jobs"]
    assert (shown["job"]["id"], "results" in shown["job"]) == (job_id(1), False)
    assert [result["label"] for result in shown["results"]] == ["positive"]


def test_a_row_of_names_is_predicted(run: Run, server: ApiServer) -> None:
    names = (
        "pregnancies",
        "glucose",
        "blood_pressure",
        "skin_thickness",
        "insulin",
        "bmi",
        "pedigree",
        "age",
    )

    outcome = run(
        "predict", "--model", "diabetes", *(f"{n}={v}" for n, v in zip(names, PATIENT, strict=True))
    )

    assert outcome.code == 0
    assert "positive" in outcome.stdout


def test_negative_numbers_are_numbers_and_no_options(run: Run) -> None:
    outcome = run("predict", "--model", "diabetes", "6", "-148", "-.5", *PATIENT[3:])

    assert outcome.code == 0
    assert "negative" in outcome.stdout


def test_values_outside_the_training_range_are_marked(run: Run) -> None:
    outcome = run("predict", "--model", "diabetes", "6", "900", *PATIENT[2:])

    assert outcome.code == 0
    assert "outside the range seen in training: glucose" in outcome.stdout


def test_images_are_sent_in_one_job_and_shown_under_the_names_that_were_typed(
    run: Run, server: ApiServer, images: Path
) -> None:
    outcome = run("predict", "--model", "fashion_mnist", images / "shoe.png", images / "bag.PNG")

    assert outcome.code == 0
    assert [line.split()[:2] for line in outcome.stdout.splitlines()[1:]] == [
        [str(images / "shoe.png"), "shoe"],
        [str(images / "bag.PNG"), "bag"],
    ]
    assert len(server.jobs) == 1
    assert [result["size"] for result in server.jobs[job_id(1)].results] == [len(PNG), len(PNG)]


@pytest.mark.parametrize(("options", "expected"), [((), 2), (("--recursive",), 3)])
def test_a_folder_stands_for_its_images(
    run: Run, server: ApiServer, images: Path, options: tuple[str, ...], expected: int
) -> None:
    outcome = run("predict", "--model", "fashion_mnist", *options, images)

    assert outcome.code == 0
    assert len(server.jobs[job_id(1)].results) == expected


def test_a_pattern_stands_for_the_files_that_match(run: Run, server: ApiServer, images: Path) -> None:
    outcome = run("predict", "--model", "fashion_mnist", images / "**" / "*.png")

    assert outcome.code == 0
    assert sorted(result["name"] for result in server.jobs[job_id(1)].results) == [
        ".hidden.png",
        "shirt.png",
        "shoe.png",
    ]


@pytest.mark.parametrize("typed", ["file", "folder", "pattern"])
def test_a_name_that_is_not_utf_8_is_sent_escaped_beside_its_neighbours(
    run: Run, server: ApiServer, images: Path, tmp_path: Path, typed: str
) -> None:
    odd = images / "caf\udce9.png"
    try:
        odd.write_bytes(PNG)
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    arguments = {"file": [odd, images / "shoe.png"], "folder": [images], "pattern": [images / "[cs]*.png"]}
    found = tmp_path / "found.csv"

    for options in ((), ("--output", found)):
        outcome = run("predict", "--model", "fashion_mnist", *options, *arguments[typed])
        assert (outcome.code, "shoe" in outcome.stdout or "succeeded" in outcome.stderr) == (0, True)

    names = {result["name"] for result in server.jobs[job_id(1)].results}
    assert {"caf%E9.png", "shoe.png"} <= names
    assert f"{images}/caf%E9.png" in found.read_text(encoding="utf-8")


def test_a_name_does_not_command_the_terminal_nor_end_its_line(run: Run, images: Path) -> None:
    (images / "a\x1b[31mred\nline.png").write_bytes(PNG)

    outcome = run("predict", "--model", "fashion_mnist", images)

    assert outcome.code == 0
    assert "\x1b" not in outcome.stdout
    assert "ared line.png" in outcome.stdout
    assert len(outcome.stdout.splitlines()) == 4


def test_of_a_folder_only_what_a_server_takes_is_sent(run: Run, server: ApiServer, tmp_path: Path) -> None:
    taken = {"a.jpe", "b.JFIF", "c.mpo", "d.apng", "e.pnm", "f.pbm", "g.dib"}
    for name in (*taken, "x.tif", "y.tiff", "z.heic"):
        (tmp_path / name).write_bytes(PNG)

    outcome = run("predict", "--model", "fashion_mnist", tmp_path)

    assert outcome.code == 0
    assert {result["name"] for result in server.jobs[job_id(1)].results} == taken


def test_hundreds_of_images_need_few_open_files(run: Run, server: ApiServer, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    for number in range(300):
        (tmp_path / f"shoe-{number:03}.png").write_bytes(PNG)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, limits[1]))

    try:
        outcome = run("predict", "--model", "fashion_mnist", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert outcome.code == 0
    assert "300 items: 300 succeeded." in outcome.stderr


def test_a_failed_item_is_named_and_the_others_are_answered(run: Run, images: Path) -> None:
    (images / "broken.png").write_bytes(b"nothing of the kind")

    outcome = run("predict", "--model", "fashion_mnist", images)

    assert outcome.code == 1
    assert "broken.png  failed             not_an_image: this file is not an image" in outcome.stdout
    assert "3 items: 2 succeeded, 1 failed." in outcome.stderr


def test_json_is_one_document_with_the_job_and_its_results(run: Run) -> None:
    outcome = run("predict", "--model", "diabetes", "--json", *PATIENT)

    answer = json.loads(outcome.stdout)
    assert answer["job"]["state"] == "finished"
    assert [result["label"] for result in answer["results"]] == ["positive"]
    assert answer["results"][0]["top"] == [
        {"label": "positive", "score": 0.75},
        {"label": "negative", "score": 0.25},
    ]


def test_version_and_priority_travel_with_the_job(run: Run, server: ApiServer, patients: Path) -> None:
    run("predict", "--model", "diabetes", "--version", "3", "--priority", "high", *PATIENT)
    run("predict", "--model", "diabetes", "--version", "3", "--priority", "high", "--csv", patients)

    for job in server.jobs.values():
        assert (job.fields["version"], job.fields["priority"]) == ("3", "high")


def test_options_come_from_the_environment_too(
    run: Run, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERIAC_MODEL", "diabetes")
    monkeypatch.setenv("CELERIAC_MODEL_VERSION", "7")
    monkeypatch.setenv("CELERIAC_JSON", "1")

    outcome = run("predict", *PATIENT)

    assert json.loads(outcome.stdout)["job"]["version"] == "7"


def test_without_waiting_only_the_id_of_the_job_is_printed(
    run: Run, server: ApiServer, patients: Path
) -> None:
    outcome = run("predict", "--model", "diabetes", "--csv", patients, "--no-wait")

    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, f"{job_id(1)}\n", "")
    assert server.requests == ["POST /api/jobs"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("6", "high", "72"), "high: expected a number, as the others are"),
        (("glucose=high",), "glucose: expected a number, got 'high'"),
        (("glucose=148", "72"), "72: expected name=number, as the others are"),
        (
            ("6", "\u0661.\u0660\u0664\u0666", "72"),
            "expected a number in the digits 0 to 9, got '\u0661.\u0660\u0664\u0666'",
        ),
        (("\uff15\uff10",), "expected a number in the digits 0 to 9, got '\uff15\uff10'"),
        (
            ("insulin=\u0661.\u0660\u0664\u0666",),
            "insulin: expected a number in the digits 0 to 9, got '\u0661.\u0660\u0664\u0666'",
        ),
        (("6", "nan"), "nan is not a finite number"),
        (("bmi=inf",), "bmi: inf is not a finite number"),
        (("shoe.png",), "shoe.png: neither a number nor a file"),
        (("*.png",), "*.png: no file matches"),
        ((), "give either inputs or --csv FILE: see --help for examples"),
        (("6", "--csv", "x.csv"), "give either inputs or --csv FILE: see --help for examples"),
        (("--csv", "x.csv"), "x.csv: no such file"),
        (("--csv", "."), ".: not a file"),
    ],
)
def test_what_cannot_be_sent_is_an_error_of_one_line(
    run: Run,
    server: ApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    error: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    outcome = run("predict", "--model", "diabetes", *arguments)

    assert (outcome.code, outcome.stdout, outcome.stderr) == (2, "", f"error: {error}\n")
    assert server.requests == []


def test_a_folder_of_folders_is_told_about_recursive(run: Run, images: Path) -> None:
    for image in images.glob("*.*"):
        image.unlink()

    outcome = run("predict", "--model", "fashion_mnist", images)

    assert outcome.code == 2
    assert outcome.stderr == f"error: {images}: no images in it, only folders: --recursive looks into them\n"


@pytest.mark.parametrize(
    "arguments", [("--josn",), ("--model", "diabetes", "--bad", "1"), ("--model", "diabetes", "-x")]
)
def test_an_unknown_option_is_an_error_of_one_line_that_names_the_help(
    run: Run, arguments: tuple[str, ...]
) -> None:
    outcome = run("predict", *arguments)

    assert outcome.code == 2
    assert len(outcome.errors) == 1
    assert outcome.stderr.endswith("See: python -m client predict --help\n")


def test_what_is_true_of_images_is_sent_with_them(run: Run, server: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "truths.csv").write_text("file,label\na.png,Bag\n")

    outcome = run(
        "predict",
        "--model",
        "fashion_mnist",
        str(tmp_path / "a.png"),
        "--truths",
        str(tmp_path / "truths.csv"),
    )

    assert outcome.code == 0, outcome.stderr
    assert server.jobs[job_id(1)].fields["truths"] == "file,label\na.png,Bag\n"


def test_what_is_true_of_rows_is_in_their_table(run: Run, tmp_path: Path) -> None:
    (tmp_path / "truths.csv").write_text("file,label\n")

    outcome = run("predict", "--model", "diabetes", *PATIENT, "--truths", str(tmp_path / "truths.csv"))

    assert outcome.code == 2 and "--truths is for images" in outcome.stderr
