"""Makes inference slow where it is found on PYTHONPATH: python imports a module of this name before all others."""

from __future__ import annotations

import os
import time

from production_server.models.runners.onnx import OnnxRunner
from production_server.models.tensors import Tensors, count_items

PER_ITEM_S = float(os.environ["SLOW_MS"]) / 1000
_run = OnnxRunner.run


def _run_slowly(self: OnnxRunner, batch: Tensors) -> Tensors:
    time.sleep(PER_ITEM_S * count_items(batch))
    return _run(self, batch)


OnnxRunner.run = _run_slowly  # type: ignore[method-assign]
