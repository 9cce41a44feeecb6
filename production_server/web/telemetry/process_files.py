"""What several web processes share for Prometheus: one file each per kind of metric, named after the process.

That is the multi-process mode of Prometheus' client, which PROMETHEUS_MULTIPROC_DIR in the environment turns on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector


class AllProcesses(Collector):
    """The sum of what all web processes have counted, and each one's processor time and memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sum = MultiProcessCollector(None, path=str(folder))  # type: ignore[no-untyped-call]

    def describe(self) -> Iterable[Metric]:
        """Nothing: asked for it, the registry would collect everything at the start."""
        return []

    def collect(self) -> Iterable[Metric]:
        """What a process that has ended counted stays in the sum; how many calls wait in it does not."""
        alive = []
        for pid in sorted({int(file.stem.rpartition("_")[2]) for file in self._folder.glob("*.db")}):
            if _is_alive(pid):
                alive.append(pid)
            else:
                mark_process_dead(pid, path=str(self._folder))  # type: ignore[no-untyped-call]
        yield from self._sum.collect()  # type: ignore[no-untyped-call]
        yield from of_processes(alive)


def of_processes(pids: Iterable[int]) -> Iterable[Metric]:
    """The client's own metrics of a process, such as `process_resident_memory_bytes`, with the process as a label."""
    families: dict[str, Metric] = {}
    for pid in pids:
        for found in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
            family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
            for sample in found.samples:
                family.add_sample(sample.name, {**sample.labels, "pid": str(pid)}, sample.value)
    return families.values()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
