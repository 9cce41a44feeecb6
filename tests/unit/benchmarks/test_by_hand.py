"""The script that jobs are compared with does the same: its answers are the service's."""

from __future__ import annotations

import csv
from pathlib import Path

from benchmarks import by_hand
from benchmarks.engine import engine_version
from benchmarks.inputs import model_file
from production_server.inference import Engine
from production_server.models.registry import Registry
from production_server.models.tasks.task import Prediction
from production_server.settings import BUILT_IN_MODEL_STORE
from testing.pictures import png

COUNT = by_hand.BATCH_ITEMS + 3


def test_the_script_answers_what_the_service_answers(tmp_path: Path) -> None:
    files = [png(seed) for seed in range(COUNT)]
    folder = tmp_path / "images"
    folder.mkdir()
    for index, data in enumerate(files):
        (folder / f"{index:03}.png").write_bytes(data)

    by_hand.main(str(model_file("fashion_mnist")), str(folder), str(tmp_path / "answers.csv"))

    with (tmp_path / "answers.csv").open(encoding="utf-8") as file:
        lines = list(csv.reader(file))
    registry = Registry([BUILT_IN_MODEL_STORE])
    labels = registry.resolve("fashion_mnist").manifest.labels
    batch = Engine(registry, threads=1).predict_batch(
        "fashion_mnist", engine_version(), files, max_pixels=10**6
    )
    answers = [outcome.result for outcome in batch.outcomes if isinstance(outcome.result, Prediction)]
    assert [line[0] for line in lines] == [f"{index:03}.png" for index in range(COUNT)]
    assert [labels[int(line[1])] for line in lines] == [answer.label for answer in answers]
