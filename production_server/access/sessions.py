"""Sessions: keys of their own, which a browser holds instead of the key that opened them. They end with it."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from production_server.access.audit import Act, Notes, noting
from production_server.access.key_text import id_of, new_key
from production_server.access.keys import check_actor, row_of
from production_server.access.records import Actor, Client
from production_server.jobs.database import Database, now
from production_server.jobs.tables import api_key

SESSION_S = 12 * 3600
"""A day's work: then the key is asked for again."""
MOST_SESSIONS = 100
"""Of one key at once: each process knows all of them. Of more, the oldest end."""
KEPT_S = 86_400.0
"""So long an expired session's row stays."""


def open_session(database: Database, client: Client, *, by: Actor) -> str:
    """Open a session for a client whose key was found; returns its text. What expired long ago is cleared away.

    Raises:
        Unauthorized: the key is over by now. Unavailable: the database does not answer.
    """
    text = new_key()
    values = row_of(
        text,
        client.key_name,
        client.name,
        client.scopes,
        expires_at=now() + SESSION_S,
        parent=client.key_id,
    )
    is_old = api_key.c.parent.is_not(None) & (api_key.c.expires_at < now() - KEPT_S)
    with noting(by) as notes, database.write() as connection:
        check_actor(connection, by)
        connection.execute(delete(api_key).where(is_old))
        _end_beyond_most(connection, client.key_id, notes)
        connection.execute(insert(api_key).values(values))
        notes.write(connection, Act.SESSION_OPENED, id_of(text))
    return text


def _end_beyond_most(connection: Connection, key_id: str, notes: Notes) -> None:
    """Make room for one more."""
    is_open = (api_key.c.revoked_at.is_(None) & (api_key.c.expires_at > now())).label("is_open")
    of_key = select(api_key.c.id, is_open).where(api_key.c.parent == key_id)
    newest_first = of_key.order_by(api_key.c.created_at.desc(), api_key.c.id)
    for row in connection.execute(newest_first.offset(MOST_SESSIONS - 1)).all():
        connection.execute(delete(api_key).where(api_key.c.id == row.id))
        if row.is_open:
            notes.write(connection, Act.SESSION_ENDED, row.id)


def end_session(database: Database, session_id: str, *, by: Actor) -> None:
    """Have a session open nothing any more.

    Raises:
        Unavailable: the database does not answer.
    """
    is_it = (api_key.c.id == session_id) & api_key.c.parent.is_not(None)
    with noting(by) as notes, database.write() as connection:
        ended = update(api_key).where(is_it, api_key.c.revoked_at.is_(None)).values(revoked_at=now())
        if connection.execute(ended).rowcount:
            notes.write(connection, Act.SESSION_ENDED, session_id)
