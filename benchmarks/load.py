"""The one load generator: wrk, a C program, so that it takes little of the cores that it shares with what it measures.

As many connections as are asked for each send a request, wait for its answer, and send the next one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")
ANSWER_WITHIN_S = 20
"""An answer that takes longer counts as timed out."""


@dataclass(frozen=True)
class Call:
    """One HTTP POST, which is sent again and again."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What was answered, and how fast: latencies are those of all answers, whatever their status."""

    connections: int
    seconds: float
    statuses: Mapping[int, int]
    socket_errors: Mapping[str, int]
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    longest_gap_ms: float
    """The longest time in which no connection got an answer."""

    @property
    def answers_per_s(self) -> float:
        """Answers with status 200; an error is no answer."""
        return self.statuses.get(200, 0) / self.seconds

    @property
    def errors(self) -> dict[str, int]:
        """How often what went wrong: by status, and by what happened to a connection."""
        refused = {str(status): count for status, count in self.statuses.items() if status != 200}
        return refused | {name: count for name, count in self.socket_errors.items() if count}


def run(call: Call, *, connections: int, seconds: float) -> Load:
    """Load the server for that long from one thread; blocks.

    Raises:
        RuntimeError: wrk is not installed, or failed.
    """
    program = shutil.which("wrk")
    if program is None:
        raise RuntimeError("the load generator wrk is not installed: apt install wrk")
    with tempfile.NamedTemporaryFile(prefix="celeriac-body-") as body:
        body.write(call.body)
        body.flush()
        counts = ["--threads=1", f"--connections={connections}", f"--duration={round(seconds)}s"]
        command = [program, *counts, f"--timeout={ANSWER_WITHIN_S}s", f"--script={SCRIPT}", call.url, "--"]
        headers = [f"{name}: {value}" for name, value in call.headers.items()]
        done = subprocess.run([*command, body.name, *headers], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"wrk failed on {call.url}: {(done.stderr or done.stdout).strip()}")
    return parse(done.stdout, connections=connections)


def parse(output: str, *, connections: int) -> Load:
    """Read the line of JSON that the script prints after wrk's own report.

    Raises:
        RuntimeError: there is no such line.
    """
    line = output.strip().rpartition("\n")[2]
    if not line.startswith("{"):
        raise RuntimeError(f"wrk told no figures:\n{output}")
    told = json.loads(line)
    statuses = {int(status): count for status, count in told.pop("statuses").items()}
    names = ("connect_errors", "read_errors", "write_errors", "timeouts")
    return Load(
        connections=connections,
        statuses=statuses,
        socket_errors={name: told.pop(name) for name in names},
        **told,
    )
