"""`--output`: results go to a file, whole or not at all."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from client.answers import Model, Result
from client.files import result_file
from client.inputs import Table
from testing.api_server import job_id

if TYPE_CHECKING:
    from pathlib import Path

    from testing.api_server import ApiServer
    from tests.unit.client.conftest import Run

DIABETES = Model(
    "diabetes", "Diabetes", "tabular_classification", ["1"], {}, {"labels": ["negative", "positive"]}
)
MANY = replace(DIABETES, manifest={"labels": [f"kind {number}" for number in range(1000)], "top": 2})


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_scored_csv_has_the_rows_of_the_user_and_the_prediction_beside_each(
    run: Run, patients: Path
) -> None:
    scored = patients.with_name("scored.csv")

    outcome = run("predict", "--model", "diabetes", "--csv", patients, "--output", scored)

    assert outcome.code == 0
    assert (outcome.stdout, outcome.stderr) == ("", f"3 items: 3 succeeded. Results: {scored}\n")
    rows = read_csv(scored)
    assert [row["glucose"] for row in rows] == ["148", "85", "183"]
    assert [row["label"] for row in rows] == ["positive", "negative", "positive"]
    assert [row["probability positive"] for row in rows] == ["0.75", "0.25", "0.75"]


def test_a_csv_without_header_gets_the_names_of_the_features(run: Run, patients: Path) -> None:
    patients.write_text(patients.read_text().partition("\n")[2])
    scored = patients.with_name("scored.csv")

    run("predict", "--model", "diabetes", "--csv", patients, "--output", scored)

    assert [row["glucose"] for row in read_csv(scored)] == ["148", "85", "183"]


def test_results_are_read_in_pages_and_written_in_order(run: Run, server: ApiServer, tmp_path: Path) -> None:
    many, scored = tmp_path / "many.csv", tmp_path / "scored.csv"
    many.write_text("".join(f"{number},148,72,35,0,33.6,0.627,50\n" for number in range(2500)))
    server.items_per_look = 700

    outcome = run("predict", "--model", "diabetes", "--csv", many, "--output", scored)

    assert outcome.code == 0
    assert [row["pregnancies"] for row in read_csv(scored)] == [str(number) for number in range(2500)]


def test_json_results_are_an_array(run: Run, patients: Path) -> None:
    scored = patients.with_name("scored.json")

    run("predict", "--model", "diabetes", "--csv", patients, "--output", scored)

    assert [result["label"] for result in json.loads(scored.read_text())] == [
        "positive",
        "negative",
        "positive",
    ]


def test_results_for_images_name_the_files(run: Run, images: Path) -> None:
    (images / "broken.png").write_bytes(b"nothing of the kind")
    labels = images.with_name("labels.csv")

    outcome = run("predict", "--model", "fashion_mnist", images, "--output", labels)

    assert outcome.code == 1
    assert f"error: {images / 'broken.png'}: not_an_image: this file is not an image" in outcome.errors
    states = {row["name"]: row["state"] for row in read_csv(labels)}
    assert states[str(images / "broken.png")] == "failed"
    assert states[str(images / "shoe.png")] == "succeeded"


def test_an_existing_file_stays_as_it_was_when_the_job_does_not_end_well(
    run: Run, server: ApiServer, patients: Path
) -> None:
    scored = patients.with_name("scored.csv")
    scored.write_text("of yesterday")
    server.items_per_look = 0

    outcome = run("predict", "--model", "diabetes", "--csv", patients, "--output", scored, "--timeout", "0.2")

    assert outcome.code == 4
    assert outcome.errors == [
        f"The job goes on. Pick it up with: python -m client jobs {job_id(1)} --wait --url {server.url}",
        "error: the job has not ended within 0.2 s",
    ]
    assert scored.read_text() == "of yesterday"
    assert sorted(path.name for path in scored.parent.iterdir()) == ["patients.csv", "scored.csv"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("scored.txt", "expected a name that ends in .csv or .json"),
        ("nowhere/scored.csv", "cannot be written: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_found_out_before_a_job_is_made(
    run: Run, server: ApiServer, patients: Path, name: str, error: str
) -> None:
    scored = patients.parent / name

    outcome = run("predict", "--model", "diabetes", "--csv", patients, "--output", scored)

    assert (outcome.code, outcome.stderr) == (2, f"error: {scored}: {error}\n")
    assert server.jobs == {}


def test_the_results_of_an_earlier_job_can_be_picked_up(run: Run, patients: Path) -> None:
    run("predict", "--model", "diabetes", "--csv", patients, "--no-wait")
    scored = patients.with_name("scored.csv")

    outcome = run("jobs", job_id(1), "--output", scored)

    assert outcome.code == 0
    assert [row["label"] for row in read_csv(scored)] == ["positive", "negative", "positive"]


def test_rows_that_the_server_counts_differently_are_not_put_beside_the_wrong_results(patients: Path) -> None:
    scored = patients.with_name("scored.csv")

    with result_file(scored, model=DIABETES, table=Table(patients)) as file:
        file.begin(4)
        file.write(Result(index=0, state="succeeded", label="positive"))

    assert read_csv(scored)[0]["name"] == "row 1"
    assert "glucose" not in read_csv(scored)[0]


def test_a_model_that_keeps_its_best_labels_has_a_pair_of_columns_for_each(tmp_path: Path) -> None:
    scored = tmp_path / "scored.csv"
    top = [{"label": "kind 7", "score": 0.9}, {"label": "kind 3", "score": 0.05}]

    with result_file(scored, model=MANY) as file:
        file.begin(2)
        file.write(Result(index=0, state="succeeded", label="kind 7", score=0.9, top=top))
        file.write(Result(index=1, state="cancelled"))

    first, second = read_csv(scored)
    pairs = {"label 1": "kind 7", "score 1": "0.9", "label 2": "kind 3", "score 2": "0.05"}
    assert first | pairs == first
    assert [second[name] for name in pairs] == [""] * 4
    assert not [name for name in first if name.startswith("probability")]
