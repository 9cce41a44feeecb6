"""From labels to a version that serves: a model that is trained again, by a program of the operator's own."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testing.celeriac import Celeriac, celeriac
from testing.processes import wait_until

NEAREST_MEAN = """
import csv, pathlib, sys, time
import numpy as np, onnx
from onnx import TensorProto as T, helper as h, numpy_helper as n
rows = list(csv.DictReader((pathlib.Path(sys.argv[1]) / "labels.csv").open()))
names = [name for name in rows[0] if name != "label"]
x = np.array([[float(row[name]) for name in names] for row in rows], "float32")
kinds = sorted({row["label"] for row in rows})
means = np.stack([x[[row["label"] == kind for row in rows]].mean(0) for kind in kinds])
w, b = 2 * means.T, -(means**2).sum(1)  # the nearest mean has the largest of these
graph = h.make_graph(
    [h.make_node("Gemm", ["x", "w", "b"], ["scores"]), h.make_node("Softmax", ["scores"], ["probabilities"])],
    "means", [h.make_tensor_value_info("x", T.FLOAT, [None, len(names)])],
    [h.make_tensor_value_info("probabilities", T.FLOAT, [None, len(kinds)])],
    [n.from_array(w, "w"), n.from_array(b, "b")])
onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), sys.argv[2])
print("trained on", len(x), "rows", flush=True)
"""
KINDS = ("blue", "green", "red")
CENTRES = np.array([[0, 0], [4, 0], [0, 4]])
NAMES = ("across", "along")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Celeriac]:
    (tmp_path / "train.py").write_text(NEAREST_MEAN)
    (tmp_path / "learning.yaml").write_text(
        f"""
policies:
  - model: blobs
    begin: {{after_labels: 100, quiet_s: 0}}
    train:
      command: [{sys.executable}, {tmp_path}/train.py, "{{data}}", "{{model}}"]
    bounds: {{minutes: 1, niceness: 5}}
    then: {{to: stable}}
    answer_again: 150
"""
    )
    _make_first_model(tmp_path)
    with celeriac(tmp_path, LEARNING_FILE=str(tmp_path / "learning.yaml"), CHUNK_ITEMS="64") as running:
        yield running


def test_labels_make_a_version_that_serves_and_answers_again(service: Celeriac) -> None:
    rows, truths = _blobs(400, seed=2)
    job = service.wait_for(service.submit("blobs", rows.tolist()))
    before = [item["label"] for item in service.results(job)]
    table = "job,index,label\n" + "\n".join(f"{job['id']},{n},{truths[n]}" for n in range(200))

    answer = service.web.post("/api/labels/blobs/import", files={"file": ("labels.csv", table.encode())})

    assert answer.json()["stored"] == 200, answer.text
    wait_until(lambda: _latest(service)["state"] != "open", what="the end of the training")
    run = _latest(service)
    assert (run["state"], run["step"], run["version"], run["error"]) == ("succeeded", "done", "2", None), run
    assert (run["why"], run["labels"]) == ("labels", 200)
    assert 20 < run["held_out"] < 60
    trained = f"trained on {run['labels'] - run['held_out']} rows"
    assert trained in service.web.get(run["links"]["log"]).text
    told = run["changed"]
    assert told["answered"] == 350, "the labelled ones, and 150 of the others"
    wrong = sum(answered != truth for answered, truth in zip(before[:200], truths[:200], strict=True))
    assert told["agree_now"] >= 0.8 * wrong > 0
    assert told["agree_no_more"] <= 4
    page = service.web.get(run["links"]["page"]).text
    assert f"{told['changed']} of 350 answers changed" in page
    assert trained in page
    model = service.web.get("/api/models/blobs").json()
    assert model["channels"]["stable"] == "2", model
    assert [item["label"] for item in service.results(job)] == before, "what was answered stays"
    again = service.wait_for(service.submit("blobs", rows[200:].tolist()))
    right = [item["label"] == truth for item, truth in zip(service.results(again), truths[200:], strict=True)]
    assert sum(right) / len(right) > 0.95


def _blobs(count: int, *, seed: int) -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(seed)
    kinds = random.integers(0, 3, count)
    return CENTRES[kinds] + random.normal(0, 0.7, (count, 2)), [KINDS[kind] for kind in kinds]


def _write(path: Path, rows: np.ndarray, labels: Sequence[str]) -> None:
    with path.open("w", newline="") as file:
        written = ([*map(str, row), label] for row, label in zip(rows.round(4).tolist(), labels, strict=True))
        csv.writer(file).writerows([(*NAMES, "label"), *written])


def _make_first_model(folder: Path) -> None:
    """Trained on a few rows, a third of which have the wrong label."""
    rows, labels = _blobs(24, seed=1)
    odd = [KINDS[(KINDS.index(label) + 1) % 3] if n % 2 else label for n, label in enumerate(labels)]
    _write(folder / "labels.csv", rows, odd)
    subprocess.run([sys.executable, folder / "train.py", folder, folder / "first.onnx"], check=True)
    subprocess.run(
        [
            sys.executable, "-m", "production_server", "models", "import", folder / "first.onnx", "--name", "blobs",
            "--sample", folder / "labels.csv", "--target", "label",
        ],
        check=True, env={"STATE_DIR": str(folder / "state"), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip


def _latest(service: Celeriac) -> dict[str, Any]:
    runs = service.web.get("/api/training-runs?model=blobs&limit=1").json()["runs"]
    latest: dict[str, Any] = runs[0] if runs else {"state": "open"}
    return latest
