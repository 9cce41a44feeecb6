"""Tables for download: whatever stands in them, a spreadsheet takes none of it for a formula."""

from __future__ import annotations

import csv

import pytest

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
