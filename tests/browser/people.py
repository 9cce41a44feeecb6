"""Faces of drawn people in the tests' own service, as a model of the task `faces` might have found them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import update

from production_server.jobs.database import Database
from production_server.jobs.tables import item_input
from testing.celeriac import Celeriac
from testing.pictures import png
from testing.processes import wait_until
from tests.unit.personas.pictures import answer, face_ids, find_all, seen, somebody, told


@dataclass(frozen=True)
class People:
    """Faces, each of a picture of its own, and who they are said to be."""

    faces: list[list[int]]
    """Of each person; of the first one the first face is labelled."""
    persona: int
    """The first person's."""
    name: str


def keep_people(site: Celeriac, *, name: str, seed: int, people: int = 3, each: int = 4) -> People:
    """Four faces of each of some people; of the first one the first face has a name, and the others are judged."""
    database = Database(f"sqlite:///{site.directory}/state/celeriac.sqlite3")
    try:
        before = set(face_ids(database))
        job = answer(
            database,
            [[told(seen(somebody(seed + p), 100 * p + n))] for p in range(people) for n in range(each)],
        )
        with database.write() as connection:
            for idx in range(people * each):
                its = (item_input.c.job_id == job, item_input.c.idx == idx)
                picture = {"payload": png(seed + idx, side=120)}
                connection.execute(update(item_input).where(*its).values(picture))
        find_all(database)
        ids = sorted(set(face_ids(database)) - before)
    finally:
        database.close()
    faces = [ids[start : start + each] for start in range(0, len(ids), each)]
    persona = int(site.web.post("/api/personas", json={"name": name}).json()["id"])
    say = {"faces": faces[0][:1], "kind": "label", "persona": persona}
    site.web.post("/api/faces/decisions", json=say).raise_for_status()
    settle(site)
    return People(faces, persona, name)


def settle(site: Celeriac) -> None:
    """Wait until all that was said is learnt, and all faces are judged."""

    def is_settled() -> bool:
        told = site.web.get("/api/personas/classifiers").json()
        return not told["waiting"] and all(each["done"] for each in told["classifiers"])

    wait_until(is_settled, what="what was said of faces is learnt")
