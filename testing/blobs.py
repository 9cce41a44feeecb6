"""A model of points in the plane, which a small program trains: for what trains models again from their labels."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from testing.web_service import WebService

ROOT = Path(__file__).parents[1]
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


def prepare(folder: Path, *, first: str = "", more: str = "", **policy: str) -> Path:
    """Give a service in a folder the model `blobs`, and a policy by which it is trained again; returns LEARNING_FILE.

    `first` is done before the program trains; `policy` are other lines of it, `more` other policies, in YAML.
    """
    (folder / "train.py").write_text(NEAREST_MEAN)
    (folder / "first.py").write_text(f"{first}\n{NEAREST_MEAN}")
    told = {"begin": "{}", "then": "{to: stable}", "answer_again": "150"} | policy
    lines = "".join(f"    {name}: {value}\n" for name, value in told.items())
    learning = folder / "learning.yaml"
    learning.write_text(
        f"""
policies:
  - model: blobs
    train:
      command: [{sys.executable}, {folder}/first.py, "{{data}}", "{{model}}"]
    bounds: {{minutes: 1, niceness: 5}}
{lines}{more}
"""
    )
    _make_first_model(folder)
    return learning


def blobs(count: int, *, seed: int) -> tuple[np.ndarray, list[str]]:
    """Points, and the kind of each."""
    random = np.random.default_rng(seed)
    kinds = random.integers(0, 3, count)
    return CENTRES[kinds] + random.normal(0, 0.7, (count, 2)), [KINDS[kind] for kind in kinds]


def label(service: WebService, job: dict[str, Any], truths: Sequence[str]) -> None:
    """Say of the first items of a job what they are."""
    table = "job,index,label\n" + "\n".join(f"{job['id']},{n},{truth}" for n, truth in enumerate(truths))
    answer = service.web.post("/api/labels/blobs/import", files={"file": ("labels.csv", table.encode())})
    assert answer.json()["stored"] == len(truths), answer.text


def latest_run(service: WebService) -> dict[str, Any]:
    """The latest training run; an open one if there is none yet."""
    runs = service.web.get("/api/training-runs?model=blobs&limit=1").json()["runs"]
    latest: dict[str, Any] = runs[0] if runs else {"state": "open"}
    return latest


def _write(path: Path, rows: np.ndarray, labels: Sequence[str]) -> None:
    with path.open("w", newline="") as file:
        written = ([*map(str, row), kind] for row, kind in zip(rows.round(4).tolist(), labels, strict=True))
        csv.writer(file).writerows([(*NAMES, "label"), *written])


def _make_first_model(folder: Path) -> None:
    """Trained on a few rows, half of which have the wrong label."""
    rows, labels = blobs(24, seed=1)
    odd = [KINDS[(KINDS.index(kind) + 1) % 3] if n % 2 else kind for n, kind in enumerate(labels)]
    _write(folder / "labels.csv", rows, odd)
    subprocess.run([sys.executable, folder / "train.py", folder, folder / "first.onnx"], check=True)
    subprocess.run(
        [
            sys.executable, "-m", "production_server", "models", "import", folder / "first.onnx", "--name", "blobs",
            "--sample", folder / "labels.csv", "--target", "label",
        ],
        check=True, env={"STATE_DIR": str(folder / "state"), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
