"""Files of labels: what each line says, and what is wrong with those that say nothing."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.errors import Fault, InvalidInput
from production_server.labels.files import FileFormat, Told, guess_format, read_labels_of
from production_server.labels.records import ItemId

JOB = "0198c5d2-7c1e-7000-8000-000000000000"


def read(data: str | list[Any] | dict[str, Any], kind: FileFormat) -> list[tuple[str, ...]]:
    text = data if isinstance(data, str) else json.dumps(data)
    return [
        (line.field, "!", line.expected, line.got)
        if isinstance(line, Fault)
        else (line.where, line.label, line.name or line.url or str(line.item and line.item.idx))
        for line in read_labels_of(text.encode(), kind)
    ]


def test_a_table_names_items_by_themselves_by_address_or_by_name() -> None:
    table = f"Label;job;index;url;name\nbag;{JOB};3;;\nbag;;;s3://a/b.png;\nbag;;;;in/c.png\n"

    assert read(table, "csv") == [
        ("line 2", "bag", "3"),
        ("line 3", "bag", "s3://a/b.png"),
        ("line 4", "bag", "c.png"),
    ]


def test_a_bad_line_is_told_and_its_neighbours_live() -> None:
    table = f"job,index,label\n{JOB},0,bag\nnone,0,bag\n{JOB},-1,bag\n{JOB},1,\n{JOB},2,bag\n"

    assert read(table, "csv") == [
        ("line 2", "bag", "0"),
        ("line 3", "!", "the id of a job, and an index", '"none", "0"'),
        ("line 4", "!", "an index from 0 to 2147483647", '"-1"'),
        ("line 5", "!", "a label", "none"),
        ("line 6", "bag", "2"),
    ]


def test_a_quote_that_does_not_end_ends_the_table() -> None:
    found = read('name,label\na.png,bag\nb.png,"bag\n', "csv")

    assert found[0] == ("line 2", "bag", "a.png") and found[1][1] == "!" and len(found) == 2


def test_the_mark_of_formulas_that_downloads_have_is_no_part_of_a_label() -> None:
    assert read("name,label\n'=1.png,'=cmd|x\na.png,'quoted'\n", "csv") == [
        ("line 2", "=cmd|x", "=1.png"),
        ("line 3", "'quoted'", "a.png"),
    ]


@pytest.mark.parametrize("table", ["", "a,b\n1,2\n", "label\nbag\n", "job,index\n1,2\n"])
def test_a_table_without_names_is_refused(table: str) -> None:
    with pytest.raises(InvalidInput, match="a first line with names"):
        read(table, "csv")


def test_lines_of_json_are_read_one_by_one() -> None:
    text = f'{{"job": "{JOB}", "index": 3, "label": "bag"}}\n\nnonsense\n[1]\n{{"name": "a.png", "label": "bag"}}'

    assert [each[:2] for each in read(text, "jsonl")] == [
        ("line 1", "bag"),
        ("line 3", "!"),
        ("line 4", "!"),
        ("line 5", "bag"),
    ]


COCO = {
    "images": [
        {"id": 7, "file_name": "in/a.png"},
        {"id": 8, "file_name": "b.png", "coco_url": "s3://a/b.png"},
        {"id": 9, "file_name": "two.png"},
        {"id": 10, "file_name": "none.png"},
        "nonsense",
    ],
    "annotations": [
        {"image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1]},
        {"image_id": 7, "category_id": 1},
        {"image_id": 8, "category_id": 2},
        {"image_id": 9, "category_id": 1},
        {"image_id": 9, "category_id": 2},
        {"image_id": [], "category_id": {}},
    ],
    "categories": [{"id": 1, "name": "bag"}, {"id": 2, "name": "coat"}, {"id": [3], "name": {}}],
}


def test_coco_has_a_label_for_each_image_of_one_category() -> None:
    assert read(COCO, "coco") == [
        ("image 1", "bag", "a.png"),
        ("image 2", "coat", "s3://a/b.png"),
        ("image 3", "!", "one category", "bag, coat"),
        ("image 4", "!", "one category", "none that is known"),
        ("image 5", "!", "one category", "none that is known"),
    ]


def annotated(image: str, *choices: str, **more: Any) -> dict[str, Any]:
    value = {"choices": list(choices)}
    result = {"from_name": "label", "to_name": "image", "type": "choices", "value": value}
    return {"data": {"image": image, **more}, "annotations": [{"result": [result]}]}


def test_label_studios_tasks_have_one_choice_each() -> None:
    cancelled = annotated("c.png", "bag")
    cancelled["annotations"].append({"was_cancelled": True, "result": []})
    tasks = [
        annotated("/data/upload/3/0a1b2c3d-a%20b.png", "bag"),
        annotated("s3://a/b.png", "coat"),
        cancelled,
        annotated("d.png", "bag", "coat"),
        annotated("e.png", "bag", job=JOB, index=4),
        {"data": {"image": "f.png"}, "annotations": []},
        annotated("deadbeef-cafe.png", "bag"),
        None,
    ]

    assert [each[:3] for each in read(tasks, "label-studio")] == [
        ("task 1", "bag", "a b.png"),
        ("task 2", "coat", "s3://a/b.png"),
        ("task 3", "bag", "c.png"),
        ("task 4", "!", "data, and an annotation with one choice"),
        ("task 5", "bag", "4"),
        ("task 6", "!", "data, and an annotation with one choice"),
        ("task 7", "bag", "deadbeef-cafe.png"),
        ("task 8", "!", "data, and an annotation with one choice"),
    ]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("name,label\n", "csv"),
        ('{"label": "bag", "job": 1}\n{}', "jsonl"),
        ('{\n "images": [', "coco"),
        ('{"images": [], "label": 1}', "coco"),
        ("\ufeff [{}]", "label-studio"),
    ],
)
def test_a_file_is_what_it_begins_as(data: str, kind: FileFormat) -> None:
    assert guess_format(data.encode()) == kind


@given(st.binary(max_size=200), st.sampled_from(["csv", "jsonl", "coco", "label-studio"]))
def test_whatever_comes_is_a_line_a_fault_or_refused(data: bytes, kind: FileFormat) -> None:
    try:
        found = list(read_labels_of(data, kind))
    except InvalidInput:
        return
    assert all(isinstance(each, Told | Fault) for each in found)


NAMES = [
    "images",
    "annotations",
    "categories",
    "id",
    "image_id",
    "category_id",
    "name",
    "data",
    "image",
    "result",
    "value",
    "choices",
    "label",
    "job",
    "index",
    "file_name",
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=20,
)


@given(_JSON, st.sampled_from(["jsonl", "coco", "label-studio"]))
def test_whatever_json_comes_is_a_line_a_fault_or_refused(value: Any, kind: FileFormat) -> None:
    try:
        list(read_labels_of(json.dumps(value).encode(), kind))
    except InvalidInput:
        return


def test_an_item_is_named_by_its_job_and_index() -> None:
    (told,) = read_labels_of(f"job,index,label\n{JOB},5,bag\n".encode(), "csv")

    assert told == Told("line 2", "bag", ItemId(UUID(JOB), 5))
