from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.errors import InvalidInput, TooLarge
from production_server.models.manifest import Manifest
from production_server.models.registry import Registry
from production_server.models.table import Table, parse_table
from production_server.models.tasks import task_of

RFC_4180 = "cells as RFC 4180 writes them"


@pytest.fixture
def manifest(small_registry: Registry) -> Manifest:
    return small_registry.resolve("table").manifest


def parse(manifest: Manifest, text: str | bytes, *, max_rows: int = 100) -> Table:
    data = text.encode() if isinstance(text, str) else text
    return parse_table(manifest, data, max_rows=max_rows, truth=task_of(manifest))


def faults_of(manifest: Manifest, text: str | bytes) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        parse(manifest, text)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    "text",
    [
        "1,7\n2,8.5\n",
        "1,7\n2,8.5",
        "1,7\r\n2,8.5\r\n",
        "\ufeff1,7\n2,8.5\n",
        "1;7\n2;8,5\n",
        "1\t7\n2\t8.5\n",
        "index,weight\n1,7\n2,8.5\n",
        "\ufeffindex;weight\r\n1;7\r\n2;8,5\r\n",
        "Weight, Index\n7,1\n\n8.5,2\n",
        "MASS,index\n7,1\n8.5,2\n",
        '"index","weight"\n"1","7"\n2, 8.5 \n',
    ],
)
def test_all_common_ways_to_write_a_table_give_the_same_rows(manifest: Manifest, text: str) -> None:
    table = parse(manifest, text)

    assert [row.values for row in table.rows] == [(1, 7), (2, 8.5)]
    assert table.expected is None


@pytest.mark.parametrize(
    "text",
    [
        "1,7,1\n2,8,no\n3,9,\n",
        "outcome,index,weight\nYES,1,7\n0,2,8\n,3,9\n",
        "index,weight,class\n1,7,1\n2,8,0\n3,9,\n",
    ],
)
def test_an_outcome_column_gives_the_true_labels(manifest: Manifest, text: str) -> None:
    assert parse(manifest, text).expected == ["yes", "no", None]


@pytest.mark.parametrize("rows", ["0,7,1\n1,8,0\n2,9,1\n", "1,7,1\n2,8,0\n3,9,1\n4,9,0.0\n"])
def test_a_first_column_that_counts_beside_one_that_may_be_a_feature_is_not_guessed(
    manifest: Manifest, rows: str
) -> None:
    (fault,) = faults_of(manifest, rows)

    assert fault == (
        "csv: expected a header, where the first of one column more than the features counts the rows, "
        "got no header: an index and 2 features, or these and the outcome"
    )
    # Whatever was meant, a header says it.
    assert parse(manifest, "index,weight,outcome\n" + rows).expected is not None
    assert parse(manifest, ",index,weight\n" + rows).expected is None


def test_values_outside_the_training_range_are_marked(manifest: Manifest) -> None:
    assert [row.outside_training_range for row in parse(manifest, "1,7\n99,7\n").rows] == [(), ("index",)]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("1,7\n2\n3,8,9\n", ["csv line 2: expected 2 columns, got 1", "csv line 3: expected 2 columns, got 3"]),
        ("1,7,8,9\n", ["csv line 1: expected 2 columns (index, weight), or one more with the outcome, got 4"]),
        ("index,height\n1,7\n", [
            'csv line 1, column 2: expected a feature\'s name, got "height"',
            "csv line 1: expected a column weight, got none",
        ]),
        ("index,weight,index\n1,7,1\n", ['csv line 1, column 3: expected a name that comes once, got "index"']),
        ("1,7\n1,abc\n", [
            'csv line 2, column 2: expected weight: a finite number in kg (a missing value is written 0), got "abc"',
        ]),
        ("index,weight\n1,NaN\n1,inf\n1,\n", [
            "csv line 2, column 2: expected weight: a finite number in kg (a missing value is written 0), got NaN",
            "csv line 3, column 2: expected weight: a finite number in kg (a missing value is written 0), got Infinity",
            'csv line 4, column 2: expected weight: a finite number in kg (a missing value is written 0), got ""',
        ]),
        ("1,7,2\n", ['csv line 1, column 3: expected outcome: 0 (no) or 1 (yes), got "2"']),
        ("", ["csv: expected at least one row, got an empty file"]),
        ("\n\n", ["csv: expected at least one row, got an empty file"]),
        ("index,weight\n", ["csv: expected at least one row, got none"]),
        (b"1,7\n2,\xff\n", ["csv line 2: expected UTF-8 text, got the byte 0xff"]),
        (b"\xff\xfe\0\0001\0\0\0", ["csv line 1: expected UTF-8 text, got UTF-32"]),
        ("1,7\n2,\0\n", ["csv: expected text, got zero bytes"]),
        ('1,7\n2,"8\n', [
            f"csv line 2: expected {RFC_4180}, got a quote that is opened and not closed (unexpected end of data)",
        ]),
    ],
)  # fmt: skip
def test_faults_are_named_by_line_and_column(
    manifest: Manifest, text: str | bytes, faults: list[str]
) -> None:
    assert faults_of(manifest, text) == faults


def test_the_first_twenty_faults_are_listed_and_nothing_is_accepted(manifest: Manifest) -> None:
    faults = faults_of(manifest, "1,7\n" + "x,y\n" * 100)

    assert len(faults) == 20
    assert faults[0].startswith("csv line 2, column 1") and faults[-1].startswith("csv line 11, column 2")


def test_a_header_of_very_many_unknown_names_needs_little_memory(manifest: Manifest) -> None:
    text = "a," * 250_000

    tracemalloc.start()
    try:
        faults = faults_of(manifest, text)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(faults) == 20
    assert peak_bytes < 20_000_000


def test_a_table_with_too_many_rows_is_refused(manifest: Manifest) -> None:
    assert len(parse(manifest, "1,7\n" * 5, max_rows=5).rows) == 5
    with pytest.raises(TooLarge, match="more than 5 rows"):
        parse(manifest, "1,7\n" * 6, max_rows=5)


def is_a_table_or_a_clear_error(manifest: Manifest, data: bytes) -> bool:
    try:
        return bool(parse(manifest, data).rows)
    except InvalidInput as exc:
        return bool(exc.faults)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_a_clear_error(small_models_manifest: Manifest, data: bytes) -> None:
    assert is_a_table_or_a_clear_error(small_models_manifest, data)


@given(st.text(alphabet='0123456789.,;\t"\n\rab-e', max_size=60))
def test_any_text_like_a_table_is_one_or_a_clear_error(small_models_manifest: Manifest, text: str) -> None:
    assert is_a_table_or_a_clear_error(small_models_manifest, text.encode())


@pytest.fixture(scope="session")
def small_models_manifest(small_models: object) -> Manifest:
    return Registry([small_models]).resolve("table").manifest  # type: ignore[list-item]


@pytest.mark.parametrize("text", ["1,7\n" + "1," * 2**19, "1,7\n" + '"\n",' * 2**18, "1,7\n" + " " * 2**20])
def test_an_endless_row_is_refused(manifest: Manifest, text: str) -> None:
    assert any(
        "at most 524288 characters" in fault or "more than 131072" in fault
        for fault in faults_of(manifest, text)
    )


@pytest.mark.parametrize("line", ["\n", ",\r\n"])
def test_very_many_rows_of_nothing_are_refused(manifest: Manifest, line: str) -> None:
    faults = faults_of(manifest, "1,7\n" + line * 1_000_001)

    assert faults == ["csv: expected at most 1000000 rows with nothing in them, got more"]


def test_a_large_table_takes_little_more_than_its_text(manifest: Manifest) -> None:
    text = ("1,7" + " " * 1000 + "\n") * 10_000

    tracemalloc.start()
    try:
        parse(manifest, text, max_rows=10_000)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 2.5 * len(text)
