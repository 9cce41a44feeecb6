"""How much of the processor processes have used, and how much of the machine somebody uses."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
QUIET_CORES = 0.1
"""Who measures alone sees less than this in use before anything is started."""


def used_s(pids: Iterable[int]) -> float:
    """Seconds of processor that these have used in all, with the children that they waited for; in hundredths."""
    return sum(map(_used_ticks, pids)) / TICKS


def busy_cores(seconds: float) -> float:
    """How many cores' worth was in use, by whomever, in the seconds that this takes."""
    began, idle = time.monotonic(), _idle_ticks()
    time.sleep(seconds)
    passed_s = time.monotonic() - began
    return max(0.0, (os.cpu_count() or 1) - (_idle_ticks() - idle) / TICKS / passed_s)


def _used_ticks(pid: int) -> int:
    """proc(5): utime, stime, cutime and cstime."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))
    return 0


def _idle_ticks() -> int:
    """proc(5): idle and iowait of all cores."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return int(fields[4]) + int(fields[5])
