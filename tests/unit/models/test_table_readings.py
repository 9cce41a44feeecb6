"""Tables that can be read in two ways, and those that only look so: taken as the one thing they say, or refused."""

from __future__ import annotations

import pytest

from production_server.errors import InvalidInput
from production_server.models.manifest import Manifest
from production_server.models.registry import Registry
from production_server.models.table import Table, parse_table
from production_server.models.tasks import task_of
from production_server.settings import BUILT_IN_MODEL_STORE

NAMES = ("Pregnancies", "Glucose", "BloodPressure", "SkinThickness", "Insulin", "BMI",
         "DiabetesPedigreeFunction", "Age")  # fmt: skip
FIRST = ("6", "148", "72", "35", "0", "33.6", "0.627", "50")
SECOND = ("1", "85", "66", "29", "0", "26.6", "0.351", "31")
VALUES = [(6, 148, 72, 35, 0, 33.6, 0.627, 50), (1, 85, 66, 29, 0, 26.6, 0.351, 31)]


@pytest.fixture(scope="module")
def diabetes() -> Manifest:
    return Registry([BUILT_IN_MODEL_STORE]).resolve("diabetes").manifest


def parse(manifest: Manifest, text: str | bytes) -> Table:
    data = text.encode() if isinstance(text, str) else text
    return parse_table(manifest, data, max_rows=100, truth=task_of(manifest))


def faults_of(manifest: Manifest, text: str | bytes) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        parse(manifest, text)
    return [str(fault) for fault in caught.value.faults]


def written(*rows: tuple[str, ...], delimiter: str = ",", end: str = "\n") -> str:
    return "".join(delimiter.join(row) + end for row in rows)


def with_insulin(insulin: str, *, comma: bool = False) -> tuple[str, ...]:
    row = [*FIRST[:4], insulin, *FIRST[5:]]
    return tuple(cell.replace(".", ",") if comma and i > 4 else cell for i, cell in enumerate(row))


def german(*rows: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [tuple(cell.replace(".", ",") for cell in row) for row in rows]


@pytest.mark.parametrize("header", [(), (NAMES,)], ids=["no header", "header"])
@pytest.mark.parametrize(
    "text_of",
    [
        written,
        lambda *rows: written(*rows, end="\r\n"),
        lambda *rows: written(*rows, end="\r"),
        lambda *rows: written(*rows, end="\n\n \n"),
        lambda *rows: "\ufeff" + written(*rows),
        lambda *rows: written(*rows, delimiter=";"),
        lambda *rows: written(*rows, delimiter="\t"),
        lambda *rows: written(*german(*rows), delimiter=";"),
        lambda *rows: written(*german(*rows), delimiter="\t"),
        lambda *rows: written(*[tuple(f'"{cell}"' for cell in row) for row in german(*rows)]),
        lambda *rows: written(*[tuple(f'"{cell}"' for cell in row) for row in rows], delimiter=", "),
        lambda *rows: "sep=;\r\n" + written(*german(*rows), delimiter=";"),
        lambda *rows: '"sep=;"\n' + written(*rows, delimiter=";"),
        lambda *rows: "SEP=\t\n" + written(*rows, delimiter="\t"),
        lambda *rows: "sep=|\n" + written(*rows, delimiter="|"),
        lambda *rows: written(*rows, delimiter="\t", end="\r\n").encode("utf-16"),
        lambda *rows: b"\xfe\xff" + written(*rows).encode("utf-16-be"),
        # A delimiter at the end of each line, once or more often.
        lambda *rows: written(*[(*row, "") for row in rows]),
        lambda *rows: written(*[(*row, "", "", "") for row in rows], delimiter=";"),
        lambda *rows: written(*[tuple(f" {cell}\u00a0" for cell in row) for row in rows]),
    ],
)
def test_what_has_one_reading_is_taken(
    diabetes: Manifest, text_of: object, header: tuple[tuple[str, ...]]
) -> None:
    table = parse(diabetes, text_of(*header, FIRST, SECOND))  # type: ignore[operator]

    assert [row.values for row in table.rows] == VALUES


@pytest.mark.parametrize(
    ("row", "delimiter", "fault"),
    [
        # The reported one: 1.046 beside decimal commas.
        (with_insulin("1.046", comma=True), ";", '"1.046": 1046 or 1.046'),
        (with_insulin("1.046", comma=True), "\t", '"1.046": 1046 or 1.046'),
        (with_insulin('"1,046"'), ",", '"1,046": 1046 or 1.046'),
        (with_insulin("1,046"), "\t", '"1,046": 1046 or 1.046'),
        (with_insulin("1,046"), ";", '"1,046": 1046 or 1.046'),
        (with_insulin("-1,046"), ";", '"-1,046": -1046 or -1.046'),
        (with_insulin("1 046"), ",", '"1 046"'),
        (with_insulin("1\u00a0046"), ",", "046"),
        (with_insulin("1\u202f046", comma=True), ";", "046"),
        (with_insulin("1'046"), ",", '"1\'046"'),
        (with_insulin("1’046"), ",", '"1’046"'),
        (with_insulin("1_046"), ",", '"1_046"'),
        (with_insulin('"1,046.5"'), ",", '"1,046.5"'),
        (with_insulin("1.046,5", comma=True), ";", '"1.046,5"'),
        (with_insulin("1.046.000", comma=True), ";", '"1.046.000"'),
        (with_insulin("104.6", comma=True), ";", 'the others: points (line 2, column 5), got "33,6"'),
        (with_insulin("104,6"), ";", 'the others: commas (line 2, column 5), got "33.6"'),
        (with_insulin("33.6%"), ",", "33.6%: 33.6 or 0.336"),
        (with_insulin("33,6 %", comma=True), ";", "33,6 %: 33.6 or 0.336"),
    ],
)
def test_a_number_that_can_be_read_in_two_ways_is_refused_with_both(
    diabetes: Manifest, row: tuple[str, ...], delimiter: str, fault: str
) -> None:
    faults = faults_of(diabetes, written(NAMES, row, delimiter=delimiter))

    assert faults[0].startswith("csv line 2, column ") and fault in faults[0]


@pytest.mark.parametrize(
    "insulin",
    [
        "\u0661.\u0660\u0664\u0666",
        "\u0661\u066c\u0660\u0664\u0666",
        "\uff11.\uff10\uff14\uff16",
        "1.\u066046",
        "\u0665",
        "\uff15\uff10",
        "\u0663\u0663\u066b\u0666",
        "-\u0665",
        "\u0665e\u0662",
        "\u0665%",
    ],
)
@pytest.mark.parametrize("header", [(), (NAMES,)], ids=["no header", "header"])
def test_digits_that_are_not_0_to_9_are_no_number(
    diabetes: Manifest, insulin: str, header: tuple[tuple[str, ...]]
) -> None:
    row = [*german(FIRST)[0][:4], insulin, *german(FIRST)[0][5:]]
    faults = faults_of(diabetes, written(*header, tuple(row), delimiter=";"))

    line = len(header) + 1
    expected = f'insulin: a number in the digits 0 to 9, got "{insulin}"'
    assert faults == [f"csv line {line}, column 5: expected {expected}"]


def test_a_first_line_all_in_other_digits_is_a_row_and_refused_as_one(diabetes: Manifest) -> None:
    faults = faults_of(
        diabetes,
        "\u0666,\u0661\u0664\u0668,\u0667\u0662,\u0663\u0665,\u0660,\u0663\u0663,\u0661,\u0665\u0660\n",
    )

    assert len(faults) == 8
    assert all("a number in the digits 0 to 9" in fault for fault in faults)


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("insulin", ["1.046", "1,046"])
def test_a_decimal_sign_that_nothing_in_the_table_shows_is_not_guessed(
    diabetes: Manifest, delimiter: str, insulin: str
) -> None:
    row = ("6", "148", "72", "35", insulin, "33", "1", "50")

    (fault,) = faults_of(diabetes, written(row, delimiter=delimiter))

    assert fault == (
        "csv line 1, column 5: expected insulin: a number that can be read in one way, "
        f'got "{insulin}": 1046 or 1.046'
    )


@pytest.mark.parametrize("shows", [SECOND, ("1", "85", "66", "29", "0", "26", "0.351", "31")])
@pytest.mark.parametrize("is_german", [True, False])
def test_one_cell_shows_the_decimal_sign_of_all_those_before_and_behind_it(
    diabetes: Manifest, shows: tuple[str, ...], is_german: bool
) -> None:
    doubtful = ("6", "148", "72", "35", "0", "33", "1.353", "50")
    rows = [doubtful, shows, doubtful]

    table = parse(diabetes, written(*(german(*rows) if is_german else rows), delimiter=";"))

    assert [row.values[6] for row in table.rows] == [1.353, float(shows[6]), 1.353]


def test_with_commas_between_cells_a_point_is_the_decimal_sign(diabetes: Manifest) -> None:
    table = parse(diabetes, "6,148,72,35,0,33,1.353,50\n")

    assert table.rows[0].values[6] == 1.353


def test_numbers_that_programs_write_have_one_reading(diabetes: Manifest) -> None:
    row = ("6.000", "1.48E+02", "+72", "3.5e1", "0.000", "33.600", "6.270e-01", "5.0E1")

    assert [each.values for each in parse(diabetes, written(row, delimiter=";")).rows] == VALUES[:1]


@pytest.mark.parametrize("header", [range(8), range(1, 9), range(9), range(1, 10), ["", *range(8)]])
def test_a_first_line_that_counts_may_be_a_header_or_a_row(diabetes: Manifest, header: list[object]) -> None:
    line = ",".join(map(str, header))
    rows = written(*[(*FIRST, "1")[: len(list(header))]] * 2)

    (fault,) = faults_of(diabetes, f"{line}\n{rows}")

    assert fault.startswith(
        "csv line 1: expected a first line that is a header with the names of the columns"
    )
    assert "a header of numbers, or a row" in fault
    # What the fault says mends it, whichever was meant.
    names = ",".join((*NAMES, "Outcome")[: len(list(header))])
    if header[0] != "":
        assert len(parse(diabetes, f"{names}\n{rows}").rows) == 2


@pytest.mark.parametrize("end", ["", ";", ";;;"])
@pytest.mark.parametrize(
    "header",
    [
        "0.0;1.0;2.0;3.0;4.0;5.0;6.0;7.0",
        "0,0;1,0;2,0;3,0;4,0;5,0;6,0;7,0",
        "00;01;02;03;04;05;06;07",
        "+0;+1;+2;+3;+4;+5;+6;+7",
        "0;1e0;2e0;3e0;4e0;5e0;6e0;7e0",
        "2;3;4;5;6;7;8;9",
        "10;11;12;13;14;15;16;17",
        "10;20;30;40;50;60;70;80",
        "7;6;5;4;3;2;1;0",
        "8;7;6;5;4;3;2;1;0",
        "-8;-7;-6;-5;-4;-3;-2;-1",
        "0;1;2;3;4;5;6;8",
        "0;1;2;3;4;5;6;7;9",
    ],
)
def test_a_header_of_numbers_is_one_however_it_is_written(diabetes: Manifest, header: str, end: str) -> None:
    (fault,) = faults_of(diabetes, f"{header}{end}\n{written(FIRST, delimiter=';')}")

    numbers = header.split(";")
    assert f"got {numbers[0]}, {numbers[1]}, … {numbers[-1]}: a header of numbers, or a row" in fault


@pytest.mark.parametrize(
    "line",
    [
        "0,1,2,3,4,5,6,6",
        "0,1,2,3,4,5,7,6",
        "0,1,2,3,4,5,6,7.5",
        "0,1,2,3,4,5,6,7,1",
        "0,1,2,3,4,5,6,7,no",
        "1,89,66,23,94,28,0,21",
    ],
)
def test_a_row_that_neither_only_rises_nor_only_falls_in_whole_numbers_is_a_row(
    diabetes: Manifest, line: str
) -> None:
    assert len(parse(diabetes, f"{line}\n").rows) == 1


def of_columns(manifest: Manifest, count: int) -> Manifest:
    """A model of fewer features."""
    few_inputs = manifest.inputs[0].model_copy(update={"shape": (None, count)})
    return manifest.model_copy(update={"features": manifest.features[:count], "inputs": (few_inputs,)})


@pytest.mark.parametrize("line", ["0;1", "1;2", "4;5", "5;4", "0.0;1.0", "0;1;2", "2;1;0", "3;4;5"])
def test_of_few_columns_what_counts_by_one_may_be_a_header(diabetes: Manifest, line: str) -> None:
    (fault,) = faults_of(of_columns(diabetes, 2), f"{line}\n3;7\n")

    assert "a header of numbers, or a row" in fault


@pytest.mark.parametrize("line", ["1;7", "7;1", "0;0", "2;9;1", "1;5;1", "0.5;1.5"])
def test_of_few_columns_what_does_not_count_by_one_is_a_row(diabetes: Manifest, line: str) -> None:
    assert len(parse(of_columns(diabetes, 2), f"{line}\n").rows) == 1


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_a_first_column_without_a_name_numbers_the_rows_and_is_passed_over(
    diabetes: Manifest, name: str
) -> None:
    table = parse(diabetes, written((name, *NAMES), ("0", *FIRST), ("1", *SECOND)))

    assert [row.values for row in table.rows] == VALUES
    assert table.reading.columns[:2] == (None, "pregnancies")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        # The same column without a header: nine columns, whose last one is no outcome.
        (written(("0", *FIRST)), 'column 9: expected outcome: 0 (no diabetes) or 1 (diabetes), got "50"'),
        (written(("PatientID", *NAMES), ("p0", *FIRST)), 'column 1: expected a feature\'s name, got "PatientID"'),
        (written(("id", *FIRST)), "column 1: expected pregnancies: a finite number"),
        (written(("NA", *FIRST[1:]), SECOND), 'column 1: expected pregnancies: a finite number, got "NA"'),
        (written(NAMES, (*FIRST[:4], "NULL", *FIRST[5:])), '(a missing value is written 0), got "NULL"'),
        ("# exported\n" + written(NAMES, FIRST), 'expected a header or a row, got a comment: "# exported"'),
        ("# " + written(NAMES, FIRST), 'got a comment: "# Pregnancies"'),
        (written(NAMES, FIRST) + "# 1 row\n", 'csv line 3: expected 8 columns, got a comment: "# 1 row"'),
        ('"6,148,72,35,0,33.6,0.627,50"\n', 'with commas, semicolons or tabs between them, got one: "6,148'),
        (written(FIRST, delimiter="|"), 'with commas, semicolons or tabs between them, got one: "6|148'),
        (written(FIRST, delimiter=" "), 'with commas, semicolons or tabs between them, got one: "6 148'),
        ("sep=x\n" + written(FIRST, delimiter="x"), "expected sep= with a comma, a semicolon, a tab or |, got"),
        (written((*NAMES, ""), (*FIRST, "x")), 'csv line 2, column 9: expected nothing below no name, got "x"'),
        (written((*NAMES, ""), FIRST), "csv line 2: expected 9 columns, got 8"),
        (written(NAMES, (*FIRST, "", "")), "csv line 2: expected 8 columns, got 10"),
        (written(NAMES, (*FIRST[:5], '"33.6', *FIRST[6:])) + written(SECOND), "csv line 2: expected cells as RFC 4180"),
        (written(("50\xa0", *FIRST[1:])).encode("cp1252"), "csv line 1: expected UTF-8 text, got the byte 0xa0"),
        (written(FIRST).encode("utf-16-le"), "got zero bytes, as UTF-16 without a byte order mark has"),
        (written(FIRST).encode("utf-16")[:-1], "got UTF-16 that is damaged or cut off"),
        (written(FIRST).encode("utf-32"), "got UTF-32"),
        ("Unnamed: 0,Unnamed: 1\n1,2\n", 'csv line 1, column 1: expected a feature\'s name, got "Unnamed: 0"'),
        (written(('"6" ', *FIRST[1:])), "got something between a closing quote and the next delimiter"),
        (written(('="6"', *FIRST[1:])), 'column 1: expected pregnancies: a finite number, got "=\\"6\\""'),
        (b"PK\x03\x04...", "expected a CSV file, got an Excel workbook or another zip file"),
        (b"\x1f\x8b\x08...", "expected a CSV file, got a gzip file"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_for_its_cause(diabetes: Manifest, text: str | bytes, fault: str) -> None:
    assert fault in faults_of(diabetes, text)[0]


@pytest.mark.parametrize(
    ("text", "cause", "neighbour"),
    [
        ("# exported\n" + written(NAMES, FIRST), "a comment", "a feature's name"),
        (written(("NA", *FIRST[1:]), SECOND), '"NA"', "a feature's name"),
        ('"6,148,72,35,0,33.6,0.627,50"\n', "between them, got one", "a column"),
        (written(FIRST, (*SECOND[:5], '"26.6', *SECOND[6:])), "not closed", "columns"),
        (written(FIRST).encode("utf-16-le"), "UTF-16 without a byte order mark", "a feature's name"),
        (written(FIRST).encode("utf-16")[:-1], "damaged or cut off", "zero bytes"),
        (b"PK\x03\x04\0\0", "an Excel workbook", "zero bytes"),
        (b"\x1f\x8b\x08\0", "a gzip file", "0x8b"),
        (
            written(NAMES, with_insulin("1.046", comma=True), delimiter=";"),
            "1046 or 1.046",
            "a finite number",
        ),
        (written(NAMES, with_insulin("33.6%")), "33.6 or 0.336", "a finite number"),
        (written(NAMES, with_insulin("1 046")), "nothing between its digits", "a finite number"),
        (written(tuple("01234567"), FIRST), "a header of numbers, or a row", "a feature's name"),
        (written((*NAMES, ""), (*FIRST, "x")), "nothing below no name", "columns"),
        (written(NAMES, (*FIRST[:7], "")), 'age: a finite number in years, got ""', "columns"),
        (written((*NAMES, "Age"), (*FIRST, "50")), "a name that comes once", "a feature's name"),
        (written((*NAMES[:7], "Agee"), FIRST), 'a feature\'s name, got "Agee"', "a row"),
        (written((*NAMES, "Outcome"), (*FIRST, "sick")), 'got "sick"', "a finite number"),
    ],
)
def test_a_message_names_its_cause_and_not_its_neighbour(
    diabetes: Manifest, text: str | bytes, cause: str, neighbour: str
) -> None:
    told = "; ".join(faults_of(diabetes, text))

    assert cause in told and neighbour not in told


def test_a_quote_that_is_not_closed_is_named_where_it_is_opened(diabetes: Manifest) -> None:
    (fault,) = faults_of(diabetes, written(FIRST, (*SECOND[:5], '"26.6', *SECOND[6:]), FIRST, FIRST))

    assert fault.startswith("csv line 2: ") and "a quote that is opened and not closed" in fault


def test_a_table_says_which_lines_are_its_rows(diabetes: Manifest) -> None:
    header = ('"Preg\nnancies"', *NAMES[1:])
    text = "\n" + written(("Pregnancies", *NAMES[1:]), FIRST, SECOND) + "\n" + written(FIRST)
    broken = ",".join(FIRST[:7]) + ',"50\n"\n' + written(SECOND)

    assert parse(diabetes, text).reading.header == 2
    assert parse(diabetes, text).reading.runs == ((3, 2), (6, 1))
    assert parse(diabetes, broken).reading.runs == ((1, 1), (3, 1))
    assert faults_of(diabetes, written(header, FIRST))[0].startswith(
        "csv line 1, column 1: expected a feature's name"
    )


@pytest.fixture(scope="module")
def one_column(diabetes: Manifest) -> Manifest:
    """A model of one feature, whose tables need no delimiter."""
    return of_columns(diabetes, 1)


@pytest.mark.parametrize("text", ["5,1\n4,0\n", "5,5\n", "12,345\n"])
def test_a_comma_that_may_part_cells_or_be_a_decimal_sign_is_not_guessed(
    one_column: Manifest, text: str
) -> None:
    (fault,) = faults_of(one_column, text)

    line = text.partition("\n")[0]
    assert fault.startswith("csv line 1: expected a line that can be read in one way")
    assert f'got "{line.replace(",", " | ")}" or "{line}"' in fault


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("5\n4\n", [5, 4], None),
        ("1\n2\n", [1, 2], None),
        ("5.5,1\n4,0\n", [5.5, 4], ["diabetes", "no diabetes"]),
        ("5,5;1\n4;0\n", [5.5, 4], ["diabetes", "no diabetes"]),
        ("5,5\t1\n", [5.5], ["diabetes"]),
        ("sep=;\n5,5\n", [5.5], None),
        ("Pregnancies\n0\n1\n", [0, 1], None),
        ("Pregnancies,Outcome\n5,1\n", [5], ["diabetes"]),
        ('Pregnancies\n"5,5"\n', [5.5], None),
    ],
)
def test_tables_of_one_column_are_taken_where_they_have_one_reading(
    one_column: Manifest, text: str, values: list[float], expected: list[str] | None
) -> None:
    table = parse(one_column, text)

    assert ([row.values[0] for row in table.rows], table.expected) == (values, expected)


@pytest.mark.parametrize("zero", ["0", "00", "0.0", "+0"])
def test_a_table_of_one_column_that_begins_with_0_may_have_that_for_a_header(
    one_column: Manifest, zero: str
) -> None:
    (fault,) = faults_of(one_column, f"{zero}\n5\n")

    assert f"got {zero}: a header of numbers, or a row" in fault
