"""A process that runs one version: the gate asks two of them side by side. Commands and answers are lines of JSON.

The first message names the version. Then `{"run": file, "into": file}` answers all items of an archive of arrays, and
`{"time": file, "calls": n}` answers its first item n times, and tells how long each call took.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from production_server.confined.child import Asker

if TYPE_CHECKING:
    from production_server.models.runners import Runner
    from production_server.models.tensors import Tensors

BATCH_ITEMS = 64
BATCH_NUMBERS = 2_000_000


def main() -> None:
    """Load the version, then do what is asked until nobody asks any more."""
    asker = Asker()
    runner: Runner | None = None
    for message in asker.messages():
        try:
            if runner is None:
                runner = _load(message, asker)
            else:
                asker.tell(_answer(message, runner))
        except Exception as exc:  # noqa: BLE001 # what cannot be told is raised again
            asker.tell_error(exc)


def _load(message: dict[str, Any], asker: Asker) -> Runner:
    # Imported only now, within the limits: these start threads.
    from production_server.models.manifest import read_manifest
    from production_server.models.runners import engine_of, load_runner, warm_up
    from production_server.models.store import ModelVersion
    from production_server.models.tasks import task_of

    folder = Path(message["folder"])
    manifest = read_manifest(folder)
    version = ModelVersion(manifest, folder, task_of(manifest))
    # What the engine itself needs is the same for every version.
    engine_of(version)
    before, began = _resident_bytes(), time.perf_counter()
    runner = load_runner(version, threads=1)
    warm_up(runner, version)
    asker.tell({"seconds": time.perf_counter() - began, "bytes": max(0, _resident_bytes() - before)})
    return runner


def _answer(message: dict[str, Any], runner: Runner) -> dict[str, Any]:
    if "time" in message:
        return {"seconds": _times(runner, _read(message["time"]), message["calls"])}
    _write(_run(runner, _read(message["run"])), message["into"])
    return {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def _run(runner: Runner, tensors: Tensors) -> Tensors:
    import numpy as np

    from production_server.models.tensors import count_items, part

    numbers = max(1, sum(array[:1].size for array in tensors.values()))
    size = max(1, min(BATCH_ITEMS, BATCH_NUMBERS // numbers))
    batches = [
        runner.run(part(tensors, start, start + size)) for start in range(0, count_items(tensors), size)
    ]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _times(runner: Runner, tensors: Tensors, calls: int) -> list[float]:
    from production_server.models.tensors import part

    one, seconds = part(tensors, 0, 1), []
    for _ in range(calls):
        began = time.perf_counter()
        runner.run(one)
        seconds.append(time.perf_counter() - began)
    return seconds


def _read(path: str) -> Tensors:
    from production_server.learning.arrays import read_arrays

    return read_arrays(Path(path))


def _write(tensors: Tensors, path: str) -> None:
    from production_server.learning.arrays import write_arrays

    write_arrays(tensors, Path(path))


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
