"""What the benchmarks say of a process's memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.memory import peak_mib, reset_peak, resident_mib

BLOCK_MIB = 64


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells it")
def test_the_peak_is_what_was_held_at_the_most_since_it_was_reset() -> None:
    pid = os.getpid()
    reset_peak(pid)
    before = resident_mib(pid)

    held = bytearray(os.urandom(1)) * (BLOCK_MIB * 2**20)
    del held
    with_block = peak_mib(pid)
    reset_peak(pid)

    assert with_block > before + BLOCK_MIB * 0.9
    assert peak_mib(pid) < with_block - BLOCK_MIB * 0.5
