"""Inputs of a sample, and of jobs, as a model's graph takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from production_server.errors import InvalidInput
from production_server.learning.calibration import MOST_ITEMS, Calibration, of_sample, of_stored
from production_server.models.manifest import Manifest
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion
from production_server.models.tasks import task_of
from production_server.models.tensors import tensors_to_bytes
from testing.small_models import write_table_model

ROW = "3,7,no\n"


@pytest.fixture
def table(small_registry: Registry) -> ModelVersion:
    return small_registry.version("table", "1")


def of_tensors(version: ModelVersion) -> ModelVersion:
    """A model of any number of words, on paper."""
    told = version.manifest.model_dump(by_alias=True) | {
        "task": "tensors",
        "inputs": [{"name": "words", "shape": [None, None], "dtype": "int64"}],
        "features": [],
        "labels": [],
        "threshold": None,
    }
    manifest = Manifest.model_validate(told)
    return ModelVersion(manifest, version.folder, task_of(manifest))


def test_the_models_own_target_is_looked_for_and_no_column_of_inputs(
    table: ModelVersion, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("weight,outcome,index\n" + "7,no,3\n" * 40)

    found = of_sample(table, rows, None)

    assert (found.items, found.origin, found.target) == (40, "40 rows of the sample", "outcome")
    assert found.groups[0]["features"][0].tolist() == [3, 7]
    assert found.groups[0]["features"].dtype == np.float32


def test_a_sample_needs_no_truths(table: ModelVersion, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("index,weight\n" + "3,7\n" * 40)

    found = of_sample(table, rows, None)

    assert (found.items, found.target) == (40, None)


def test_of_a_large_sample_a_thousand_rows_are_used_and_told(table: ModelVersion, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("index,weight,outcome\n" + ROW * (MOST_ITEMS + 5))

    assert of_sample(table, rows, None).origin == "1,000 rows of the sample"


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        (ROW, "kind", r"target: expected one of the sample's columns"),
        (ROW.replace("no", "perhaps"), None, r"target, item 1 of the sample: .* got \"perhaps\""),
        ("3,7,no,1\n", None, r"sample line 2: expected 3 columns, got 4"),
    ],
)
def test_what_a_sample_says_wrong_is_told_before_anything_is_made(
    table: ModelVersion, tmp_path: Path, text: str, target: str | None, message: str
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("index,weight,outcome\n" + text)

    with pytest.raises(InvalidInput, match=message):
        of_sample(table, rows, target)


def test_tensors_have_no_sample(table: ModelVersion, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("index,weight\n3,7\n")

    with pytest.raises(InvalidInput, match=r"stored items \(--stored N\): this model takes tensors"):
        of_sample(of_tensors(table), rows, None)


def test_stored_items_of_several_shapes_stand_in_groups(table: ModelVersion) -> None:
    payloads = [tensors_to_bytes({"words": np.ones((1, size), np.int64)}) for size in (2, 3, 2)]

    found = of_stored(of_tensors(table), payloads, max_pixels=1)

    assert [group["words"].shape for group in found.groups] == [(2, 2), (1, 3)]
    assert (found.items, found.sample) == (3, None)


def test_fewer_inputs_than_tell_ranges_are_refused() -> None:
    few = Calibration([{"x": np.zeros((31, 1))}], "31 rows of the sample")

    with pytest.raises(InvalidInput, match="at least 32 inputs"):
        few.check()


def test_stored_rows_are_decoded_as_workers_do(tmp_path: Path) -> None:
    write_table_model(tmp_path)
    version = Registry([tmp_path]).version("table", "1")

    found = of_stored(version, [b"[1,2]", b"[3,4]"], max_pixels=1)

    assert found.groups[0]["features"].tolist() == [[1, 2], [3, 4]]
    assert found.origin == "the last 2 items of jobs that version 1 has answered"
