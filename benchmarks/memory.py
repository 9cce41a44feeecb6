"""How much memory processes hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path


def resident_mib(pid: int) -> float:
    """VmRSS; 0 for a process that has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        _, found, rest = Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")
        return int(rest.split()[0]) / 1024 if found else 0.0
    return 0.0


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
