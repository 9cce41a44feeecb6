from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from production_server.training.datasets import obtain
from production_server.training.imagenet import CLASS_INDEX, read_labels

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.training.conftest import Transcript

needs_data = pytest.mark.skipif(not os.environ.get("MODEL_DATA_DIR"), reason="MODEL_DATA_DIR is not set")


def test_labels_are_names_in_the_order_of_the_index_and_those_that_repeat_have_their_identifier(
    tmp_path: Path,
) -> None:
    path = tmp_path / "index.json"
    names = [("n1", "great_white_shark"), ("n2", "crane"), ("n3", "daisy"), ("n4", "crane")]
    path.write_text(json.dumps({str(place): names[place] for place in (3, 1, 0, 2)}))

    assert read_labels(path) == ("great white shark", "crane (n2)", "daisy", "crane (n4)")


@needs_data
def test_all_thousand_labels_differ_and_four_need_their_identifier(transcript: Transcript) -> None:
    labels = read_labels(obtain(CLASS_INDEX, transcript))

    assert len(labels) == len(set(labels)) == 1000
    assert [label for label in labels if "(" in label] == [
        "crane (n02012849)", "crane (n03126707)", "maillot (n03710637)", "maillot (n03710721)",
    ]  # fmt: skip
    assert (labels[0], labels[504], labels[-1]) == ("tench", "coffee mug", "toilet tissue")
