"""Tables for download: whatever stands in them, a spreadsheet takes none of it for a formula."""

from __future__ import annotations

import csv
import io
import re
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from client import files
from production_server.web.api import downloads
from production_server.web.api.downloads import csv_line

FORMULAS = ["=1+1", "+1+1", "-cmd|x", "@SUM(1)", "\t1", "\r1", "\n1", "\uff1d1", "-", "+1e5x"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_is_like_a_formula_is_one_with_an_apostrophe(text: str) -> None:
    (row,) = csv.reader([csv_line(["a", text])]) if "\n" not in text else [["a", f"'{text}"]]

    assert csv_line(["a", text]).startswith(("a,'", "a,\"'"))
    assert row == ["a", f"'{text}"] or "\r" in text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a;=1", "a;'=1"),
        ("a\t@x", "a\t'@x"),
        ("a\n+1;-2", "a\n'+1;'-2"),
        ("=a;=b", "'=a;'=b"),
        ("\t=1", "'\t'=1"),
    ],
)
def test_nor_is_a_part_of_it_one_where_others_part_cells(text: str, written: str) -> None:
    assert csv_line(["a", text]).strip() in {f"a,{written}", f'a,"{written}"'}


@pytest.mark.parametrize("cell", [-1, -0.5, 1e-7, "-1", "+2.50", "a=b", "", "cat", "1-2", "a; b", "a;b"])
def test_numbers_and_other_texts_stay_as_they_are(cell: object) -> None:
    assert csv_line(["a", cell]) == f"a,{cell}\r\n"


PASSED_OVER = ' \u00a0\u3000"\0\u200b\ufeff'
NUMBER = re.compile(r"[-+](\d+\.?\d*|\.\d+)([eE][-+]?\d+)?[\]\"]*")
texts = st.text(st.sampled_from([*"=+-@,;\t\r\n\"' a1.[]", "\uff1d", "\u00a0", "\0", "\ufeff"]), max_size=12)


@given(
    text=texts,
    delimiter=st.sampled_from(",;\t"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_NONE]),
)
@example(text='a;"=1+1;b', delimiter=";", quoting=csv.QUOTE_MINIMAL)
@example(text="a, =1+1", delimiter=",", quoting=csv.QUOTE_NONE)
@settings(max_examples=500)
def test_no_cell_begins_like_a_formula_whatever_parts_the_cells_and_whatever_quotes_are(
    text: str, delimiter: str, quoting: Literal[0, 3]
) -> None:
    line = csv_line(["0", text, "b"])

    rows = csv.reader(io.StringIO(line, newline=""), delimiter=delimiter, quoting=quoting)
    cells = [cell for row in rows for cell in row]

    begins = [cell.lstrip(PASSED_OVER) for cell in cells]
    formulas = [cell for cell in begins if cell.startswith((*"=+-@\t\r", "\uff1d"))]
    assert [cell for cell in formulas if not NUMBER.fullmatch(cell)] == []


@given(texts)
def test_the_client_and_the_server_take_the_same_for_a_formula(text: str) -> None:
    """The client is HTTP alone, and may not import the server: each has the rules for itself."""
    assert files.inert(text) == downloads.inert(text)


@pytest.mark.parametrize("text", ["[1.0, -2.0]", "[[1, -2], [-3e-05, NaN]]", "[]"])
def test_a_list_of_numbers_stays_as_it_is(text: str) -> None:
    assert downloads.inert(text) == files.inert(text) == text
