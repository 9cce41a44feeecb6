"""How long a file of each kind takes from `models import` to the first prediction, and what its importer needs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.services import embedded
from benchmarks.tables import number, table
from testing.celeriac import ROOT, Celeriac
from testing.foreign_graphs import FOREIGN_MODELS

LIMIT_S = 120
NAMES = {
    "onnx": "ONNX, of scikit-learn",
    "keras": "`.keras`",
    "keras_hdf5": "`.h5`",
    "keras_json": "JSON and `.h5`",
    "savedmodel": "SavedModel, folder",
    "savedmodel_zip": "SavedModel, zip",
    "keras_runner": "`.keras` that does not export",
}
TENSORFLOW = """
import time
begun = time.perf_counter()
import tensorflow, keras
print(time.perf_counter() - begun)
"""


@dataclass(frozen=True)
class Imported:
    """One import: seconds until its command had ended, until the first prediction, and in the gate; the peak memory."""

    command_s: float
    prediction_s: float
    gate_s: float
    peak_mib: float


def measure(rounds: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Medians of so many rounds; each round imports a small model of each kind beside a service that runs."""
    python = training_python()
    with tempfile.TemporaryDirectory() as made, embedded() as service:
        written = json.loads(_run([python, "-m", "testing.foreign_models.keras3", made]))
        files: dict[str, list[str]] = {"onnx": [str(FOREIGN_MODELS / "iris_pipeline.onnx")], **written}
        found: dict[str, list[Imported]] = {kind: [] for kind in files}
        second: dict[str, list[Imported]] = {kind: [] for kind in files}
        for turn in range(rounds):
            for kind, arguments in files.items():
                report(f"imports: round {turn + 1} of {rounds}, {kind}")
                found[kind].append(_import(service, f"{kind}_{turn}", arguments, python))
                second[kind].append(_import(service, f"{kind}_{turn}", arguments, python))
    tensorflow_s = [float(_run([python, "-c", TENSORFLOW])) for _ in range(rounds)]
    return {
        "tensorflow_import_s": statistics.median(tensorflow_s),
        **{
            kind: _medians(each) | {"second_gate_s": _medians(second[kind])["gate_s"]}
            for kind, each in found.items()
        },
    }


def tables(found: dict[str, Any]) -> str:
    """What was found, in Markdown."""
    rows = [
        [
            name,
            number(found[kind]["prediction_s"]),
            number(0.0 if kind == "onnx" else found["tensorflow_import_s"]),
            number(found[kind]["gate_s"]),
            number(found[kind]["second_gate_s"]),
            number(found[kind]["peak_mib"]),
        ]
        for kind, name in NAMES.items()
    ]
    loading = number(found["keras_runner"]["first_s"])
    rows.append(["… the first one, for which the worker loads TensorFlow, too", loading, "", "", "", ""])
    header = ["file", "`models import` to the first prediction, s", "of it TensorFlow's import, s", "the gate, s",
              "… beside a version that serves, s", "importer's peak memory, MiB"]  # fmt: skip
    return table(header, rows)


def training_python() -> Path:
    """What has TensorFlow: the training environment if there is one, else this one."""
    python = ROOT / ".venv-training" / "bin" / "python"
    return python if python.exists() else Path(sys.executable)


def _import(service: Celeriac, name: str, arguments: list[str], python: Path) -> Imported:
    command = [
        sys.executable,
        "-m",
        "production_server",
        "models",
        "import",
        *arguments,
        "--name",
        name,
        "--json",
    ]
    environment = os.environ | {
        "STATE_DIR": str(service.directory / "state"),
        "PYTHONPATH": str(ROOT),
        "IMPORT_PYTHON": str(python),
    }
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(list(map(str, command)), env=environment, stdout=said)
        # The larger one of the command and of its importer, which it has waited for.
        _, status, used = os.wait4(process.pid, 0)
        command_s = time.perf_counter() - begun
        said.seek(0)
        if status:
            raise RuntimeError(f"{arguments[0]} was not imported")
        gate_s = json.loads(said.read())["report"]["seconds"]
    _predict(service, name, until=time.monotonic() + LIMIT_S)
    return Imported(command_s, time.perf_counter() - begun, gate_s, used.ru_maxrss / 1024)


def _predict(service: Celeriac, name: str, *, until: float) -> None:
    """Ask until there is an answer: a worker may be loading TensorFlow, which takes longer than a call may."""
    while True:
        answer = service.web.post(f"/v1/models/{name}:predict", json={"instances": [[5.1, 3.5, 1.4, 0.2]]})
        if answer.is_success:
            return
        if time.monotonic() > until:
            raise RuntimeError(f"{name} did not answer: {answer.text}")
        time.sleep(0.05)


def _run(command: list[Any]) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _medians(found: list[Imported]) -> dict[str, float]:
    medians = {
        each: statistics.median(getattr(one, each) for one in found)
        for each in ("command_s", "prediction_s", "gate_s", "peak_mib")
    }
    return medians | {"first_s": found[0].prediction_s}
