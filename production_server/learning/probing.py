"""Starts probes, and asks them: how a version loads, answers, how long one call takes, and how much memory it needs."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from production_server.confined.process import ConfinedProcess, Program, started
from production_server.learning.arrays import read_arrays, write_arrays
from production_server.models.store import ModelVersion
from production_server.models.tensors import Tensors

MODULE = "production_server.learning.probe"


@dataclass(slots=True)
class Probe:
    """A version that runs in a process of its own. For one thread."""

    version: ModelVersion
    process: ConfinedProcess
    scratch: Path
    load_s: float
    """Seconds that loading, and one call, took."""
    loaded_bytes: int
    """By how much the process grew by that, resident."""

    def run(self, inputs: Tensors) -> Tensors:
        """Its answers [items, …] to inputs [items, …].

        Raises:
            InferenceFailed: the model fails. ImportFailed: its process has ended.
        """
        given, answered = self.scratch / "given.npz", self.scratch / "answered.npz"
        write_arrays(inputs, given)
        self.process.send({"run": str(given), "into": str(answered)})
        self.process.receive()
        return read_arrays(answered)

    def time_calls(self, inputs: Tensors, calls: int) -> list[float]:
        """How long each of so many calls with the first item took, in seconds.

        Raises:
            InferenceFailed, ImportFailed: as `run`.
        """
        given = self.scratch / "timed.npz"
        if not given.exists():
            write_arrays(inputs, given)
        self.process.send({"time": str(given), "calls": calls})
        seconds: list[float] = self.process.receive()["seconds"]
        return seconds


@contextmanager
def probe(
    program: Program, version: ModelVersion, scratch_in: Path, *, stopping: threading.Event | None = None
) -> Iterator[Probe]:
    """Load a version; the process ends with the block. What it is asked lies in a folder of `scratch_in` meanwhile.

    `stopping` ends it early when it is set.

    Raises:
        BrokenVersion, InferenceFailed: it does not load, or not answer an item of zeros.
        ImportFailed: its process has ended, or cannot be started. ImportStopped: nobody waits any more.
    """
    with (
        # From the root: the process works in this folder.
        tempfile.TemporaryDirectory(prefix=".scratch-", dir=scratch_in.resolve()) as scratch,
        started(program, Path(scratch), stopping=stopping) as process,
    ):
        process.send({"folder": str(version.folder.resolve())})
        loaded = process.receive()
        yield Probe(version, process, Path(scratch), loaded["seconds"], loaded["bytes"])
