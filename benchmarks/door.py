"""What the door costs a call: processor time of it in one process, with and without keys and limits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from sqlalchemy import insert

from production_server.access.key_text import new_key
from production_server.access.keys import row_of
from production_server.access.scopes import USUAL
from production_server.jobs.tables import api_key
from production_server.settings import Settings
from production_server.web.edge.door import Asking, Entrance
from production_server.web.edge.parts import build_parts

CALLS = 100_000
HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"
CASES = {
    "without_keys": (0, HERE),
    "with_1_key": (1, HERE),
    "with_1000_keys": (1000, HERE),
    "with_1000_keys_and_limits": (1000, ELSEWHERE),
}
"""How many keys there are, and where requests come from: on the machine itself no limit holds."""


def measure(rounds: int) -> dict[str, float]:
    """Microseconds of processor for each request; the median of some rounds, and what a key and limits add."""
    taken: dict[str, list[float]] = {name: [] for name in CASES}
    with ExitStack() as running:
        asked = {name: running.enter_context(_asked(*case)) for name, case in CASES.items()}
        for _ in range(rounds):
            for name, (entrance, asking) in asked.items():
                taken[name].append(_microseconds(entrance, asking))
    medians = {name: median(each) for name, each in taken.items()}
    return {
        **{f"{name}_us": each for name, each in medians.items()},
        "a_key_us": medians["with_1000_keys"] - medians["without_keys"],
        "limits_us": medians["with_1000_keys_and_limits"] - medians["with_1000_keys"],
    }


@contextmanager
def _asked(count: int, address: str) -> Iterator[tuple[Entrance, Asking]]:
    with TemporaryDirectory() as folder:
        parts = build_parts(Settings(state_dir=Path(folder), limit_requests=10**9))
        parts.database.migrate()
        texts = [new_key() for _ in range(count)]
        with parts.database.write() as connection:
            for text in texts:
                connection.execute(insert(api_key).values(row_of(text, "a", "a", USUAL, expires_at=None)))
        parts.keys.look_again()
        headers = {"host": "localhost:5100"} | ({"authorization": f"Bearer {texts[-1]}"} if texts else {})
        yield (
            parts.entrance,
            Asking("calls.v2", "POST", "/v2/models/diabetes/infer", headers, address, "http"),
        )
        parts.database.close()


def _microseconds(entrance: Entrance, asking: Asking) -> float:
    began = time.thread_time()
    for _ in range(CALLS):
        entrance.check(asking, entrance.recognise(asking))
    return (time.thread_time() - began) / CALLS * 1e6
