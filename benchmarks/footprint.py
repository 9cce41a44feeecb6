"""What the service costs before it does anything: disk, start-up time, memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.memory import resident_mib
from benchmarks.services import over_rabbitmq
from testing.celeriac import ROOT

START_UP = """
import os, time
begun = time.clock_gettime(time.CLOCK_BOOTTIME)
ticks = int(open("/proc/self/stat").read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
from production_server.settings import read_settings
from production_server.worker.parts import WorkerParts
parts = WorkerParts.build(read_settings({}))
assert len(parts.housekeeping.warm) >= 2, parts.housekeeping.warm
print(time.clock_gettime(time.CLOCK_BOOTTIME) - ticks)
"""
"""A worker process from its birth (as the kernel tells it) to both built-in models warm."""


def measure(rounds: int = 5) -> dict[str, Any]:
    """Size of the serving environment, and a worker's start-up time and resident memory with both models warm."""
    times_s = [_start_up_s() for _ in range(rounds)]
    return {
        "serving_environment_mib": _size_mib(ROOT / ".venv-serving"),
        "worker_start_up_s": statistics.median(times_s),
        **_worker_resident_mib(),
    }


def _start_up_s() -> float:
    python = ROOT / ".venv-serving" / "bin" / "python"
    command = [str(python) if python.exists() else sys.executable, "-c", START_UP]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def _size_mib(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*")) / 2**20


def _worker_resident_mib() -> dict[str, float]:
    """VmRSS of a worker process when both models are warm, and after it has worked with batches of both."""
    with over_rabbitmq() as service:
        (pid,) = service.children("worker")
        ready = resident_mib(pid)
        square = [[255 if 8 <= x < 20 else 0 for x in range(28)] for _ in range(28)]
        service.wait_for(service.submit("fashion_mnist", [square] * 1000))
        service.wait_for(service.submit("diabetes", [[6, 148, 72, 35, 0, 33.6, 0.627, 50]] * 1000))
        return {"worker_ready_resident_mib": ready, "worker_used_resident_mib": resident_mib(pid)}
