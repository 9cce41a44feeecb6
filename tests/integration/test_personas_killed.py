"""`kill -9` while 10,000 faces are judged: all are judged, each once, when the service is there again."""

from __future__ import annotations

import contextlib
import sqlite3
from functools import partial
from pathlib import Path

from production_server.jobs.database import Database
from testing.celeriac import Celeriac, celeriac
from testing.processes import wait_until
from tests.unit.personas.pictures import answer, face_ids, find_all, seen, somebody, told

PEOPLE, EACH, IN_A_PICTURE = 20, 500, 100
TRIES = 30
"""To meet the moment between two chunks."""


def test_faces_are_all_judged_though_the_worker_is_killed_on_the_way(tmp_path: Path) -> None:
    with celeriac(tmp_path, PERSONAS="on") as service:
        path = tmp_path / "state" / "celeriac.sqlite3"
        faces = keep_faces(path)
        personas = [make(service, f"Person {number}") for number in range(PEOPLE)]
        for number, persona in enumerate(personas):
            say(service, faces[number * EACH], persona)

        was_killed_between = kill_while_judging(service, path, faces, personas)
        wait_until(lambda: is_settled(service), what="all faces are judged")

        assert was_killed_between
        (judge,) = service.web.get("/api/personas/classifiers").json()["classifiers"]
        with contextlib.closing(sqlite3.connect(path)) as connection:
            found = dict(connection.execute("SELECT face_id, persona_id FROM verdict"))
            (labelled,) = connection.execute(
                "SELECT count(DISTINCT face_id) FROM persona_decision"
            ).fetchone()
        whose = {face: personas[place // EACH] for place, face in enumerate(faces)}
        assert len(found) == len(faces) - labelled
        assert all(who in (None, whose[face]) for face, who in found.items())
        assert judge["done"]
        assert sum(who is not None for who in found.values()) > len(faces) // 2


def keep_faces(path: Path) -> list[int]:
    """So many faces of each of so many people, by the order of people; no model has found them."""
    database = Database(f"sqlite:///{path}")
    try:
        drawn = [told(seen(somebody(p), 1_000 * p + n)) for p in range(PEOPLE) for n in range(EACH)]
        answer(database, [drawn[at : at + IN_A_PICTURE] for at in range(0, len(drawn), IN_A_PICTURE)])
        find_all(database)
        return face_ids(database)
    finally:
        database.close()


def kill_while_judging(service: Celeriac, path: Path, faces: list[int], personas: list[int]) -> bool:
    """Kill and start the service while its latest classifier has judged some faces and not all; whether that was so."""
    for attempt in range(1, TRIES):
        before, *_ = latest(path)
        say(service, faces[attempt], personas[0])
        wait_until(partial(has_begun, path, before), what="a new classifier has judged some faces")
        _, judged_to, last = latest(path)
        if judged_to < last:
            service.kill()
            _, judged_to, last = latest(path)
            service.start()
            if judged_to < last:
                return True
        wait_until(lambda: is_settled(service), what="all faces are judged")
    return False


def has_begun(path: Path, before: int) -> bool:
    """Whether a classifier behind that number has judged any face."""
    number, judged_to, _ = latest(path)
    return number > before and judged_to > 0


def latest(path: Path) -> tuple[int, int, int]:
    """The number of the latest classifier, and how far it has judged of how many."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        query = "SELECT number, judged_to, last_face FROM persona_classifier ORDER BY number DESC LIMIT 1"
        row = connection.execute(query).fetchone()
    return (0, 0, 0) if row is None else (int(row[0]), int(row[1]), int(row[2]))


def make(service: Celeriac, name: str) -> int:
    return int(service.web.post("/api/personas", json={"name": name}).json()["id"])


def say(service: Celeriac, face: int, persona: int) -> None:
    said = {"faces": [face], "kind": "label", "persona": persona}
    service.web.post("/api/faces/decisions", json=said).raise_for_status()


def is_settled(service: Celeriac) -> bool:
    told_of = service.web.get("/api/personas/classifiers").json()
    return not told_of["waiting"] and all(each["done"] for each in told_of["classifiers"])
