"""Tells what models are given where it is found on PYTHONPATH: python imports a module of this name before all others.

Of each row the last number is appended to the file RUNS_FILE. A row that ends in DEADLY ends the process at once.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from production_server.models.runners.onnx import OnnxRunner
from production_server.models.tensors import Tensors, only

DEADLY = 666
_file = Path(os.environ["RUNS_FILE"])
_run = OnnxRunner.run


def _run_watched(self: OnnxRunner, batch: Tensors) -> Tensors:
    rows = only(batch)
    numbers = rows.reshape(len(rows), -1)[:, -1].tolist()
    with _file.open("a") as file:
        file.writelines(f"{number:g}\n" for number in numbers)
    if DEADLY in numbers:
        os.kill(os.getpid(), signal.SIGKILL)
    return _run(self, batch)


OnnxRunner.run = _run_watched  # type: ignore[method-assign]
