"""What the benchmarks say of the processor's time."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.processor import busy_cores, used_s


def test_what_a_process_and_the_children_that_it_waited_for_have_used_is_told() -> None:
    before_s = used_s([os.getpid()])

    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    alone_s = used_s([os.getpid()])
    subprocess.run([sys.executable, "-c", "sum(range(10_000_000))"], check=True)

    assert alone_s >= before_s + 0.08  # what is told is told in hundredths
    assert used_s([os.getpid()]) > alone_s


def test_a_process_that_is_gone_has_used_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass

    assert used_s([process.pid]) == 0


def test_cores_that_are_in_use_are_counted() -> None:
    spinning = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(spinning) as process:
        try:
            assert 0.1 < busy_cores(0.3) <= (os.cpu_count() or 1)
        finally:
            process.kill()
