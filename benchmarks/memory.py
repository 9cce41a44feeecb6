"""How much memory processes hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path


def resident_mib(pid: int) -> float:
    """VmRSS; 0 for a process that has ended."""
    return _status_mib(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """What was resident at the most since the process began, or since `reset_peak`; 0 for one that has ended."""
    return _status_mib(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    """Have `peak_mib` count from now on. For a process of the same user."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def descendants(pid: int) -> list[int]:
    """A process, its children, and theirs, as they are now."""
    found = [pid]
    for each in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def total_mib(pids: Iterable[int]) -> float:
    """The sum of what each of them has resident: what they share is counted each time."""
    return sum(map(resident_mib, pids))


def _status_mib(pid: int, name: str) -> float:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        _, found, rest = Path(f"/proc/{pid}/status").read_text().partition(f"{name}:")
        return int(rest.split()[0]) / 1024 if found else 0.0
    return 0.0
