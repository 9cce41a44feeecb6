"""How many strangers may get a name: what people have set for each model."""

from __future__ import annotations

from sqlalchemy import Connection, exists, select

from production_server.access.audit import Act, noting
from production_server.errors import InvalidInput, NotFound
from production_server.jobs.database import Database, dialect_of, now
from production_server.jobs.tables import face, persona_promise
from production_server.models.manifest import is_model_name
from production_server.personas.records import Promised, Sayer
from production_server.personas.state import lock, note_changes
from production_server.shown import describe

ONE_IN = 100
"""As long as nobody has set anything."""
FEWEST_ONE_IN = 2
MOST_ONE_IN = 10_000


def promises(connection: Connection) -> dict[str, Promised]:
    """By model, what somebody has set."""
    rows = connection.execute(select(persona_promise))
    return {row.model: Promised(row.one_in, row.who, row.at) for row in rows}


def set_promise(database: Database, model: str, one_in: int, *, by: Sayer) -> None:
    """Have at most one stranger in so many get a name, by all versions of a model; a worker learns it at once.

    Set back, the same labels give exactly the verdicts from before.

    Raises:
        InvalidInput: nobody can promise that. NotFound: the model has found no faces (code `model_not_found`).
        Unavailable: the database does not answer.
    """
    check_one_in(one_in)
    with noting(by.actor) as notes, database.write() as connection:
        lock(connection)
        if not (is_model_name(model) and _has_found_faces(connection, model)):
            raise NotFound(f"no model {describe(model)} has found faces", code="model_not_found")
        known = promises(connection).get(model)
        before = ONE_IN if known is None else known.one_in
        values = {"one_in": one_in, "who": by.who, "at": now()}
        made = dialect_of(connection).insert(persona_promise).values(model=model, **values)
        connection.execute(made.on_conflict_do_update(index_elements=[persona_promise.c.model], set_=values))
        if before != one_in:
            note_changes(connection, 1, is_urgent=True)
            notes.write(
                connection, Act.PROMISE_SET, model, before={"one_in": before}, after={"one_in": one_in}
            )


def _has_found_faces(connection: Connection, model: str) -> bool:
    return bool(connection.execute(select(exists().where(face.c.model == model))).scalar_one())


def check_one_in(one_in: int) -> None:
    """Whether that may be promised.

    Raises:
        InvalidInput: it is too small or too large.
    """
    if not FEWEST_ONE_IN <= one_in <= MOST_ONE_IN:
        raise InvalidInput.at("one_in", f"{FEWEST_ONE_IN} to {MOST_ONE_IN}", str(one_in))
