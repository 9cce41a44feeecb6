"""The engine alone: decode and classify all images in one process, with no queue and no database around it.

    python -m benchmarks.engine FOLDER_OF_PNGS BATCH

It does what a worker does with the same batches, and uses all cores inside each call. It prints images per second.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from production_server.inference import Engine
from production_server.models.registry import Registry
from production_server.settings import BUILT_IN_MODEL_STORE


def main(folder: str, batch_items: str) -> None:
    """Measure one pass over the folder, after a warm-up."""
    payloads = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    engine = Engine(Registry([BUILT_IN_MODEL_STORE]), threads=os.cpu_count() or 1)
    version = engine_version()
    _run(engine, version, payloads[:512], int(batch_items))
    begun = time.perf_counter()
    _run(engine, version, payloads, int(batch_items))
    print(len(payloads) / (time.perf_counter() - begun))


def engine_version() -> str:
    """The stable version of the image model."""
    return Registry([BUILT_IN_MODEL_STORE]).resolve("fashion_mnist").manifest.version


def _run(engine: Engine, version: str, payloads: list[bytes], batch_items: int) -> None:
    for start in range(0, len(payloads), batch_items):
        batch = payloads[start : start + batch_items]
        engine.predict_batch("fashion_mnist", version, batch, max_pixels=50_000_000)


if __name__ == "__main__":
    main(*sys.argv[1:])
