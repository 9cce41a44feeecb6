"""What calls notice while versions come, change and go, and what memory that takes: versions of 150 MiB each."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree
from typing import Any

from benchmarks import load
from benchmarks.interactive import median, told
from benchmarks.load import Call, Load
from benchmarks.memory import peak_mib, reset_peak, resident_mib
from benchmarks.services import embedded, over_rabbitmq
from benchmarks.tables import errors, number, table
from testing.celeriac import Celeriac
from testing.processes import wait_until
from testing.small_models import write_table_model

CONNECTIONS = 32
VERSION_MIB = 150
PERCENT = 30
BEGINS_AFTER_S = 0.5
"""Into the load: by then all connections have been answered."""
LET_GO_WITHIN_S = 5
"""So much longer is each load, that with what is let go within seconds in it."""
QUIET = "nothing"
CHANGES = ("promote", "canary", "rollback", "letting two go")
MEMORY = ("before", "at the most", "with both loaded", "after both are let go")
CHANNELS = "/api/models/table/channels"


def measure(rounds: int, seconds: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Both ways to run the service; in each round calls with nothing else, then with each change, each equally long.

    `took_s` is how long the change took, as who asks for it sees it.
    """
    found: dict[str, Any] = {}
    for name, service in (("RabbitMQ", over_rabbitmq), ("embedded", embedded)):
        with tempfile.TemporaryDirectory(prefix="celeriac-bench-") as folder:
            store = Path(folder)
            write_table_model(store, more_mib=VERSION_MIB)
            with service(MODEL_STORE=folder) as running:
                turns = [_turn(running, store, turn, seconds, report) for turn in range(rounds)]
        found[name] = _summary(turns)
    return found


def tables(found: dict[str, Any]) -> str:
    """What was found, in Markdown."""
    rows, memory = [], []
    for name, told_of in found.items():
        for what in (QUIET, *CHANGES):
            each = told_of[what]
            ratios = [f"{each[ratio]:.1f}" if what != QUIET else "" for ratio in ("p99_ratio", "max_ratio")]
            took = number(each["took_s"]) if what != QUIET else ""
            figures = [number(each[figure]) for figure in ("per_s", "p99_ms", "max_ms")]
            rows.append([name, what, *figures, *ratios, took, errors(each["errors"]) or "0"])
        memory.append([name, *(number(told_of["resident_mib"][when]) for when in MEMORY)])
    header = ["32 connections", "what happens", "answers per second", "p99, ms", "longest, ms", "p99 ÷ nothing",
              "longest ÷ nothing", "the change took, s", "failed calls"]  # fmt: skip
    held = f"resident, MiB, of the process with the models; versions of {VERSION_MIB} MiB"
    return "\n\n".join([table(header, rows), table([held, *MEMORY], memory)])


class _Turn:
    """One round: loads by what happens meanwhile, how long that took, and what was resident."""

    def __init__(self) -> None:
        self.loads: dict[str, Load] = {}
        self.took_s: dict[str, float] = {}
        self.resident_mib: dict[str, float] = {}


def _turn(
    service: Celeriac, store: Path, number_of_turn: int, seconds: int, report: Callable[[str], None]
) -> _Turn:
    """Promote one new version and try another one, go back, and take both away."""
    new, canary = (str(2 * number_of_turn + place) for place in (2, 3))
    if number_of_turn == 0:
        _promote(service, "stable", "1")
    for version in (new, canary):
        write_table_model(store, version=version, more_mib=VERSION_MIB)
    (pid,) = service.children("worker") or [service.pid]
    turn = _Turn()

    def during(what: str, change: Callable[[], None]) -> None:
        turn.loads[what], turn.took_s[what] = _load_during(service, change, seconds + LET_GO_WITHIN_S)
        report(f"{what} in {turn.took_s[what]:.2f} s {told(turn.loads[what])}")

    during(QUIET, lambda: None)
    turn.resident_mib["before"] = resident_mib(pid)
    reset_peak(pid)
    during("promote", lambda: _promote(service, "stable", new))
    turn.resident_mib["at the most"] = peak_mib(pid)
    turn.resident_mib["with both loaded"] = resident_mib(pid)
    during("canary", lambda: _promote(service, "canary", canary, percent=PERCENT))
    during("rollback", lambda: _go_back(service))
    service.forget_log()
    during("letting two go", lambda: _let_go(service, store, [new, canary]))
    turn.resident_mib["after both are let go"] = resident_mib(pid)
    return turn


def _load_during(service: Celeriac, change: Callable[[], None], seconds: int) -> tuple[Load, float]:
    """Calls, and how long the change took in the midst of them.

    Raises:
        RuntimeError: it took longer than they did.
    """
    body = b'{"instances": [[3, 7]]}'
    call = Call(f"{service.url}/v1/models/table:predict", body, {"Content-Type": "application/json"})
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load.run, call, connections=CONNECTIONS, seconds=seconds)
        time.sleep(BEGINS_AFTER_S)
        begun = time.perf_counter()
        change()
        took_s = time.perf_counter() - begun
        if loading.done():
            raise RuntimeError(f"a change took {took_s:.1f} s, longer than the calls: try more --seconds")
        return loading.result(), took_s


def _promote(service: Celeriac, channel: str, version: str, **more: Any) -> None:
    answer = service.web.put(
        f"{CHANNELS}/{channel}", json={"version": version} | more, headers={"Prefer": "wait=60"}
    )
    if answer.status_code != 200:
        raise RuntimeError(f"version {version} was not promoted: {answer.text}")


def _go_back(service: Celeriac) -> None:
    service.web.post(f"{CHANNELS}/stable/rollback", json={}).raise_for_status()


def _let_go(service: Celeriac, store: Path, versions: list[str]) -> None:
    """Take versions away: workers let them go at once, and not ten minutes after their last batch."""
    for version in versions:
        rmtree(store / "table" / version)
    wait_until(
        lambda: all(f"let go of table/{version}" in service.log for version in versions),
        what="the worker has let them go",
    )


def _summary(turns: list[_Turn]) -> dict[str, Any]:
    """Medians of the rounds; ratios are medians of the rounds' ratios, what is longest is the longest of all."""
    summary: dict[str, Any] = {}
    for what in (QUIET, *CHANGES):
        summary[what] = median([turn.loads[what] for turn in turns])
        summary[what]["took_s"] = statistics.median(turn.took_s[what] for turn in turns)
        for figure in ("p99_ms", "max_ms"):
            ratios = [
                getattr(turn.loads[what], figure) / getattr(turn.loads[QUIET], figure) for turn in turns
            ]
            summary[what][f"{figure.removesuffix('_ms')}_ratio"] = statistics.median(ratios)
    summary["resident_mib"] = {
        when: statistics.median(turn.resident_mib[when] for turn in turns) for when in MEMORY
    }
    return summary
