"""The process that makes a version in whole numbers of 8 bits, and has both answer what it was made by.

One request as a line of JSON; answers are `{"say": text}`, and at the end `{"made": …}` or `{"error": …}`.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from production_server.confined.child import Asker, answer_one

if TYPE_CHECKING:
    from production_server.models.runners import Runner
    from production_server.models.store import ModelVersion
    from production_server.models.tensors import Tensors

TIMED_ITEMS = 32
"""In one batch: as many as a busy worker gets together."""
ROUNDS = 15
ROUND_S = 0.03
"""Some rounds are no measure: virtual machines have been seen to count none of their time."""
MOST_CALLS = 200


def main() -> None:
    """Answer the one request, then end; or end when whoever asked is gone."""
    answer_one("made", _made)


def _made(request: dict[str, Any], asker: Asker) -> dict[str, Any]:
    # Imported only now, within the limits: these start threads.
    from production_server.errors import BrokenVersion, ImportFailed, InferenceFailed
    from production_server.learning.arrays import read_arrays
    from production_server.models.manifest import digest_of
    from production_server.models.runners import load_runner
    from production_server.models.runners.onnx import MODEL_FILE
    from production_server.models.store import ModelVersion

    if importlib.util.find_spec("onnx") is None:
        raise ImportFailed(
            "the Python that makes it (IMPORT_PYTHON, or the server's own) has no package onnx; "
            "requirements.txt and requirements/training.txt have it"
        )
    from production_server.models.importing.onnx_int8 import unfit, write_int8

    source, into = _version_in(Path(request["source"])), Path(request["into"])
    groups = [read_arrays(Path(path)) for path in request["groups"]]
    file = source.verified_file(MODEL_FILE)
    asker.tell({"say": "Making whole numbers of it"})
    write_int8(
        file, into / MODEL_FILE, _batches(source, groups), Path.cwd(), weight_bits=request["weight_bits"]
    )
    files = {MODEL_FILE: digest_of(into / MODEL_FILE)}
    draft = ModelVersion(source.manifest.model_copy(update={"files": files}), into, source.task)
    asker.tell({"say": "Having both answer the same"})
    before = load_runner(source, threads=1)
    try:
        after = load_runner(draft, threads=1)
        found = _compared(source, before, after, groups)
    except (BrokenVersion, InferenceFailed) as exc:
        raise unfit(f"one that it does not run then: {exc}") from exc
    sizes = [source.manifest.files[MODEL_FILE].size_bytes, files[MODEL_FILE].size_bytes]
    return {**found, "seconds": _timed(before, after, groups), "bytes": sizes}


def _version_in(folder: Path) -> ModelVersion:
    from production_server.models.manifest import read_manifest
    from production_server.models.store import ModelVersion
    from production_server.models.tasks import task_of

    manifest = read_manifest(folder)
    return ModelVersion(manifest, folder, task_of(manifest))


def _batches(version: ModelVersion, groups: Sequence[Tensors]) -> Iterator[Tensors]:
    from production_server.models.importing.parity import batches_of

    for group in groups:
        yield from batches_of(group, version.manifest.inputs)


def _compared(
    version: ModelVersion, before: Runner, after: Runner, groups: Sequence[Tensors]
) -> dict[str, Any]:
    """How many items get the same label, and by how much numbers are apart, of what they differ by among the items."""
    import numpy as np

    task, items, agreeing = version.task, 0, 0
    wanted, found = list[np.ndarray](), list[np.ndarray]()
    for batch in _batches(version, groups):
        both = before.run(batch), after.run(batch)
        if task.choices:
            pairs = list(zip(*map(task.predict, both), strict=True))
            items, agreeing = items + len(pairs), agreeing + sum(_has_same_label(*pair) for pair in pairs)
        for answers, numbers in zip(both, (wanted, found), strict=True):
            numbers += [
                array.astype(np.float64).ravel() for array in answers.values() if array.dtype.kind == "f"
            ]
    apart = _apart(np.concatenate(wanted), np.concatenate(found)) if wanted else 0.0
    return {"agreeing": agreeing if task.choices else None, "apart": apart}


def _has_same_label(before: Any, after: Any) -> bool:
    """Whether two predictions have; where the version itself fails on an item, nothing is asked of the other one."""
    label = getattr(before, "label", None)
    return label is None or label == getattr(after, "label", None)


def _apart(wanted: Any, found: Any) -> float:
    import numpy as np

    with np.errstate(invalid="ignore"):
        error, spread = float(np.sqrt(np.mean((found - wanted) ** 2))), float(wanted.std())
    return error / (spread or 1.0) if np.isfinite(error) else float("inf")


def _timed(before: Runner, after: Runner, groups: Sequence[Tensors]) -> list[float]:
    """Seconds of the processor that both take for an item, in batches; in turns, the median of the rounds of each."""
    from production_server.models.tensors import count_items, part

    batch = part(max(groups, key=count_items), 0, TIMED_ITEMS)
    calls = [
        max(1, min(MOST_CALLS, int(ROUND_S / max(_processor_s(each, batch, 1), 1e-6))))
        for each in (before, after)
    ]
    rounds = [
        [_processor_s(each, batch, count) for each, count in zip((before, after), calls, strict=True)]
        for _ in range(ROUNDS)
    ]
    return [statistics.median(seconds) / count_items(batch) for seconds in zip(*rounds, strict=True)]


def _processor_s(runner: Runner, batch: Tensors, calls: int) -> float:
    began = time.thread_time()
    for _ in range(calls):
        runner.run(batch)
    return (time.thread_time() - began) / calls


if __name__ == "__main__":
    main()
