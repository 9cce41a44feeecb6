"""What the door costs a call: processor time of `Entrance.enter`, with and without keys, in one process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from sqlalchemy import insert

from production_server.access.key_text import new_key
from production_server.access.keys import row_of
from production_server.access.known_keys import KnownKeys
from production_server.access.scopes import USUAL
from production_server.jobs.database import Database
from production_server.jobs.tables import api_key
from production_server.settings import Settings
from production_server.web.edge.door import Asking, Entrance, KeyDoor
from production_server.web.edge.sites import sites_of

CALLS = 100_000
KEYS = (1, 1000)


def measure(rounds: int) -> dict[str, float]:
    """Microseconds of processor for each request, without keys and with as many; the median of some rounds."""
    entrances = {"without_keys": _entrance(0), **{f"with_{count}_keys": _entrance(count) for count in KEYS}}
    taken: dict[str, list[float]] = {name: [] for name in entrances}
    for _ in range(rounds):
        for name, (entrance, headers) in entrances.items():
            taken[name].append(_microseconds(entrance, headers))
    figures = {f"{name}_us": median(each) for name, each in taken.items()}
    return figures | {"a_key_us": figures[f"with_{KEYS[-1]}_keys_us"] - figures["without_keys_us"]}


def _entrance(count: int) -> tuple[Entrance, Mapping[str, str]]:
    with (
        TemporaryDirectory() as folder,
        closing(Database(f"sqlite:///{Path(folder) / 'keys.sqlite3'}")) as database,
    ):
        database.migrate()
        texts = [new_key() for _ in range(count)]
        with database.write() as connection:
            for text in texts:
                connection.execute(insert(api_key).values(row_of(text, "a", "a", USUAL, expires_at=None)))
        keys = KnownKeys(database)
        keys.look_again()
    headers = {"host": "127.0.0.1:5100"} | ({"authorization": f"Bearer {texts[-1]}"} if texts else {})
    return Entrance(sites_of(Settings()), KeyDoor(keys)), headers


def _microseconds(entrance: Entrance, headers: Mapping[str, str]) -> float:
    asking = Asking("calls.v2", "POST", "/v2/models/diabetes/infer", headers, "127.0.0.1")
    began = time.thread_time()
    for _ in range(CALLS):
        entrance.enter(asking)
    return (time.thread_time() - began) / CALLS * 1e6
