"""What the answers of each kind of model look like: on the terminal, in a table, and to `models`."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest

from client import output
from client.answers import Model, Result, read
from client.files import OwnColumns, result_file

if TYPE_CHECKING:
    from pathlib import Path

AREA = Model("area", "Area", "tabular_regression", ["1"], {}, {
    "features": [{"name": "length"}, {"name": "width"}], "target": "area", "labels": [],
    "outputs": [{"name": "value"}],
    "quantity": {"name": "area", "label": "Area", "unit": "m²", "minimum": 0, "maximum": 100},
})  # fmt: skip
TAGS = Model("tags", "Tags", "image_multilabel_classification", ["1"], {}, {
    "labels": ["cat", "dog"], "thresholds": [0.5, 0.25], "outputs": [{"name": "probabilities"}],
})  # fmt: skip
EMBEDDER = Model("embedder", "Embedder", "tensors", ["1"], {}, {
    "outputs": [{"name": "vector"}, {"name": "norm"}, {"name": "word"}]
})  # fmt: skip

VALUE = Result(0, "succeeded", answer="13.5 m²", score=13.5, output=[13.5], expected="13")
BOTH = Result(
    0, "succeeded", answer="cat, dog", labels=["cat", "dog"], score=0.9, output=[0.9, 0.3], expected="cat"
)
NEITHER = Result(
    1, "succeeded", answer="none of its labels", labels=[], score=0.1, output=[0.1, 0.1], expected="none"
)
TENSORS = Result(
    0, "succeeded", answer="vector [2], norm 1", output={"vector": [0.6, 0.8], "norm": [1], "word": "a"}
)


def printed(capsys: pytest.CaptureFixture[str], *results: Result) -> list[list[str]]:
    output.print_results(results)
    return [[cell for cell in line.split("  ") if cell] for line in capsys.readouterr().out.splitlines()[1:]]


def written(folder: Path, model: Model, *results: Result) -> list[dict[str, str]]:
    path = folder / "results.csv"
    with result_file(path, model=model) as file:
        file.begin(OwnColumns(["mine"], iter([["kept"] for _ in results])))
        for result in results:
            file.write(result)
    with path.open(newline="", encoding="utf-8") as written:
        return list(csv.DictReader(written))


def cells(line: list[str]) -> list[str]:
    return [cell.strip() for cell in line]


def test_a_value_is_printed_with_its_unit_and_is_no_percentage(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = printed(capsys, VALUE)

    assert cells(line) == ["row 1", "13.5 m²", "expected 13"]


def test_several_labels_are_printed_with_what_was_expected_if_that_is_another_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    both, neither = printed(capsys, BOTH, NEITHER)

    assert cells(both) == ["row 1", "cat, dog", "90.0%", "expected cat"]
    assert cells(neither) == ["row 2", "none of its labels", "10.0%"]


def test_a_server_of_before_tells_no_answer_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = printed(capsys, Result(0, "succeeded", label="yes", score=0.75))

    assert cells(line) == ["row 1", "yes", "75.0%"]


def test_a_table_has_the_value_under_the_name_of_its_quantity(tmp_path: Path) -> None:
    whole = Result(1, "succeeded", answer="…", score=2.0**53, output=[2**53 + 1], expected="-1.5e-7")

    first, second, failed = written(tmp_path, AREA, VALUE, whole, Result(2, "failed"))

    assert (first["predicted area (m²)"], first["score"], first["expected"]) == ("13.5", "13.5", "13")
    assert second["predicted area (m²)"] == "9007199254740993"
    assert second["expected"] == "-1.5e-7"  # a number, which no spreadsheet takes for a formula
    assert failed["predicted area (m²)"] == ""


def test_a_table_has_several_labels_with_bars_between_them(tmp_path: Path) -> None:
    both, neither = written(tmp_path, TAGS, BOTH, NEITHER)

    assert (both["label"], both["expected"], both["probability dog"]) == ("cat|dog", "cat", "0.3")
    assert (neither["label"], neither["expected"]) == ("none", "none")


def test_a_table_has_a_column_for_each_tensor(tmp_path: Path) -> None:
    (row,) = written(tmp_path, EMBEDDER, TENSORS)

    assert (row["vector"], row["norm"], row["word"]) == ("[0.6, 0.8]", "1", "a")


def test_whole_numbers_and_small_ones_are_read_as_the_server_told_them() -> None:
    told = b'{"index": 0, "state": "succeeded", "output": [9007199254740993, 1e308, 1e-320]}'

    assert read(Result, told, url="").output == [2**53 + 1, 1e308, 1e-320]


@pytest.mark.parametrize(
    ("model", "fact"),
    [
        (AREA, "answers    Area in m², 0 to 100 in training"),
        (TAGS, "labels     cat (from 50.0%), dog (from 25.0%)"),
    ],
)
def test_a_model_tells_what_it_answers(model: Model, fact: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.print_model(Model(**{**vars(model), "manifest": {**model.manifest, "features": []}}))

    assert fact in capsys.readouterr().out.splitlines()


def test_models_of_all_tasks_are_listed_by_words(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_models([AREA, TAGS, EMBEDDER])

    told: list[Any] = [line.split("  ")[1:] for line in capsys.readouterr().out.splitlines()[1:]]
    assert [next(filter(None, line)).strip() for line in told] == [
        "tabular regression", "image multilabel", "tensors",
    ]  # fmt: skip
