"""`--output`: results go to a file, whole or not at all."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from client.answers import Job, Model, Result, Submitted, TableReading
from client.files import result_file
from client.results import Destination
from client.tables import Table
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


class Models:
    """A server that is asked for a model's card alone."""

    def model(self, _name: str) -> Model:
        return DIABETES


def test_rows_that_the_server_counts_differently_are_not_put_beside_the_wrong_results(
    patients: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = patients.with_name("scored.csv")

    reading = TableReading("utf-8", ",", list(patients.read_text().split()[0].split(",")), [(2, 3)], 1)
    job = Job("1", "finished", "diabetes", "1", total=4, succeeded=4, failed=0)
    destination = Destination(scored, table=Table(patients))

    with destination.open(Models(), model="diabetes"):  # type: ignore[arg-type]  # all that is asked of a server
        destination.begin(Submitted(job, None, reading))
        destination.take(Result(index=0, state="succeeded", label="positive"))

    assert read_csv(scored)[0]["name"] == "row 1"
    assert "glucose" not in read_csv(scored)[0]
    assert capsys.readouterr().err == (
        f"error: {patients}: its columns are left out of the results: the file has changed since it was sent\n"
    )


def test_a_file_that_was_written_anew_meanwhile_is_not_put_beside_the_results(
    patients: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored, table = patients.with_name("scored.csv"), Table(patients)
    names, job = ["a", "b"], Job("1", "finished", "diabetes", "1", total=1, succeeded=1, failed=0)
    destination = Destination(scored, table=table)

    patients.write_text("a,b\n1,2\n")
    with destination.open(Models(), model="diabetes"):  # type: ignore[arg-type]  # all that is asked of a server
        destination.begin(Submitted(job, None, TableReading("utf-8", ",", list(names), [(2, 1)], 1)))
        destination.take(Result(index=0, state="succeeded", label="positive"))

    assert "a" not in read_csv(scored)[0]
    assert "has changed since it was sent" in capsys.readouterr().err


def test_of_a_server_that_does_not_say_how_it_read_a_table_nothing_is_guessed(
    run: Run, server: ApiServer, patients: Path
) -> None:
    scored = patients.with_name("scored.csv")
    server.tells_tables = False

    outcome = run("predict", "--model", "diabetes", "--csv", patients, "--output", scored)

    assert outcome.code == 0
    assert [row["name"] for row in read_csv(scored)] == ["row 1", "row 2", "row 3"]
    assert "this server does not say which of its lines are rows" in outcome.errors[0]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("6;1,5\n7;2,5\n", {"delimiter": ";", "rows": [(1, 2)]}),
        ("a;b\r\n\r\n6;1,5\r\n\r\n7;2,5", {"delimiter": ";", "header": 1, "rows": [(3, 1), (5, 1)]}),
        ("\ufeffa\tb\n6\t1,5\n7\t2,5\n", {"delimiter": "\t", "header": 1, "rows": [(2, 2)]}),
        ("sep=;\n6;1,5\n7;2,5\n", {"delimiter": ";", "rows": [(2, 2)]}),
        ('"6", "1,5"\n"7", "2,5"\n', {"skips_spaces": True, "rows": [(1, 2)]}),
        ("6;1,5\r7;2,5\r", {"delimiter": ";", "rows": [(1, 2)]}),
        ('6;"1,5"\n"7";2,5\n', {"delimiter": ";", "rows": [(1, 2)]}),
        (
            "a;b\n6;1,5\n7;2,5\n".encode("utf-16"),
            {"encoding": "utf-16", "delimiter": ";", "header": 1, "rows": [(2, 2)]},
        ),
    ],
)
def test_a_table_is_read_as_the_server_says_and_not_by_a_second_guess(
    tmp_path: Path, data: str | bytes, told: dict[str, Any]
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    reading = TableReading(**({"encoding": "utf-8", "delimiter": ",", "columns": ["a", "b"]} | told))

    table = Table(path)

    assert table.header(reading) == ["a", "b"]
    assert list(table.rows(reading)) == [["6", "1,5"], ["7", "2,5"]]


def test_cells_of_several_lines_and_columns_without_names_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b',a,b,\n0,"6\n",1,\n1,7,"2\n\n",\n2,8,3,\n')
    reading = TableReading("utf-8", ",", [None, "a", "b", None], [(2, 1), (4, 1), (7, 1)], 1)

    table = Table(path)

    assert table.header(reading) == ["", "a", "b", ""]
    assert list(table.rows(reading)) == [["0", "6\n", "1", ""], ["1", "7", "2\n\n", ""], ["2", "8", "3", ""]]


def test_a_model_that_keeps_its_best_labels_has_a_pair_of_columns_for_each(tmp_path: Path) -> None:
    scored = tmp_path / "scored.csv"
    top = [{"label": "kind 7", "score": 0.9}, {"label": "kind 3", "score": 0.05}]

    with result_file(scored, model=MANY) as file:
        file.begin(None)
        file.write(Result(index=0, state="succeeded", label="kind 7", score=0.9, top=top))
        file.write(Result(index=1, state="cancelled"))

    first, second = read_csv(scored)
    pairs = {"label 1": "kind 7", "score 1": "0.9", "label 2": "kind 3", "score 2": "0.05"}
    assert first | pairs == first
    assert [second[name] for name in pairs] == [""] * 4
    assert not [name for name in first if name.startswith("probability")]


def test_what_others_have_named_is_no_formula_in_a_csv(tmp_path: Path) -> None:
    hostile = replace(DIABETES, manifest={"labels": ["=1+1", "-1"]})
    result = Result(
        index=0, state="succeeded", name="=cmd|'/c calc'!A1;=B1.png", label="-1", score=0.5, output=[0.5, 0.5]
    )

    with result_file(tmp_path / "r.csv", model=hostile, names=()) as file:
        file.begin(None)
        file.write(result)

    (row,) = read_csv(tmp_path / "r.csv")
    assert (row["name"], row["label"], row["score"]) == ("'=cmd|'/c calc'!A1;'=B1.png", "-1", "0.5")
