"""`predict --csv FILE --output scored.csv` against the service: the user's own cells, and ours beside them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.cli import main
from testing.celeriac import Celeriac, celeriac

NAMES = ["Pregnancies", "Glucose", "BloodPressure", "SkinThickness", "Insulin", "BMI",
         "DiabetesPedigreeFunction", "Age"]  # fmt: skip
ROWS = [
    ["6", "148", "72", "35", "0", "33.6", "0.627", "50"],
    ["1", "85", "66", "29", "0", "26.6", "0.351", "31"],
    ["8", "183", "64", "0", "0", "23.3", "0.672", "32"],
]
OURS = ["state", "label", "score", "expected", "outside_training_range", "error", "version",
        "probability no diabetes", "probability diabetes"]  # fmt: skip
FEATURES = ["pregnancies", "glucose", "blood_pressure", "skin_thickness", "insulin", "bmi", "diabetes_pedigree",
            "age"]  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    with celeriac(tmp_path_factory.mktemp("tables")) as running:
        yield running


def scored(service: Celeriac, folder: Path, data: bytes) -> list[list[str]]:
    """The lines of the file that the client writes, in cells."""
    table, result = folder / "table.csv", folder / "scored.csv"
    table.write_bytes(data)
    asked = ["--url", service.url, "--csv", str(table), "--output", str(result), "--quiet"]
    assert main(["predict", "--model", "diabetes", *asked]) == 0
    with result.open(newline="") as file:
        return list(csv.reader(file))


def text_of(rows: list[list[str]], delimiter: str = ",", end: str = "\n") -> bytes:
    return "".join(delimiter.join(row) + end for row in rows).encode()


GERMAN = [[cell.replace(".", ",") for cell in row] for row in ROWS]
QUOTED = [[f'"{cell}"' for cell in row] for row in ROWS]
TABLES: dict[str, tuple[bytes, list[str], list[list[str]]]] = {
    # The reported one: its eight columns were missing.
    "decimal commas without a header": (text_of(GERMAN, ";"), FEATURES, GERMAN),
    "decimal commas": (text_of([NAMES, *GERMAN], ";"), NAMES, GERMAN),
    "tabs": (text_of([NAMES, *ROWS], "\t"), NAMES, ROWS),
    "tabs and decimal commas without a header": (text_of(GERMAN, "\t"), FEATURES, GERMAN),
    "a mark and Windows' line ends": (b"\xef\xbb\xbf" + text_of([NAMES, *ROWS], end="\r\n"), NAMES, ROWS),
    "UTF-16": (text_of([NAMES, *ROWS], "\t", "\r\n").decode().encode("utf-16"), NAMES, ROWS),
    "old Mac's line ends": (text_of([NAMES, *ROWS], end="\r"), NAMES, ROWS),
    "sep=": (b"sep=;\r\n" + text_of([NAMES, *GERMAN], ";", "\r\n"), NAMES, GERMAN),
    "empty lines": (b"\n\n" + text_of([NAMES, *ROWS], end="\n\n  \n,,,\n"), NAMES, ROWS),
    "spaces before quotes": (text_of(QUOTED, ", "), FEATURES, ROWS),
    "line ends in quotes": (
        text_of([NAMES, [*ROWS[0][:7], '"50\n"'], ['"1\r\n\r\n"', *ROWS[1][1:]], ROWS[2]]),
        NAMES,
        [[*ROWS[0][:7], "50\n"], ["1\r\n\r\n", *ROWS[1][1:]], ROWS[2]],
    ),
    "delimiters at the end": (
        text_of([[*row, "", ""] for row in [NAMES, *ROWS]]),
        [*NAMES, "", ""],
        [[*row, "", ""] for row in ROWS],
    ),
    "delimiters at the end without a header": (
        text_of([[*row, "1", ""] for row in ROWS]),
        [*FEATURES, "outcome", ""],
        [[*row, "1", ""] for row in ROWS],
    ),
    "an index": (
        text_of([["", *NAMES], *([str(i), *row] for i, row in enumerate(ROWS))]),
        ["", *NAMES],
        [[str(i), *row] for i, row in enumerate(ROWS)],
    ),
    "outcomes in words, columns in another order": (
        text_of([["class", *NAMES[::-1]], *(["tested_positive", *row[::-1]] for row in ROWS)]),
        ["class", *NAMES[::-1]],
        [["tested_positive", *row[::-1]] for row in ROWS],
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_the_users_own_columns_are_kept_as_they_were_and_stand_beside_their_own_results(
    service: Celeriac, tmp_path: Path, kind: str
) -> None:
    data, names, rows = TABLES[kind]

    header, *lines = scored(service, tmp_path, data)

    assert header == [*names, *OURS]
    assert [line[: len(names)] for line in lines] == rows
    # Whose result it is: those of the three rows differ.
    assert [line[len(names) : len(names) + 2] for line in lines] == [
        ["succeeded", "diabetes"], ["succeeded", "no diabetes"], ["succeeded", "diabetes"],
    ]  # fmt: skip
    assert len({line[-1] for line in lines}) == 3
