"""Keys as they are stored: made, listed, revoked, put in place of another. Their rows are never deleted.

Whatever is done to one leaves a line in the audit.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, case, insert, select, update

from production_server.access.audit import Act, Notes, noting
from production_server.access.key_text import FORM_OF_ID, digest_of, id_of, new_key
from production_server.access.records import (
    CLIENT_RULE,
    LONGEST_NAME,
    Actor,
    KeyInfo,
    NewKey,
    is_client_name,
)
from production_server.access.scopes import Scope
from production_server.errors import Conflict, InvalidInput, NotFound, Unauthorized
from production_server.jobs.database import Database, now
from production_server.jobs.records import ANONYMOUS_NAME
from production_server.jobs.tables import api_key
from production_server.shown import describe

LONGEST_LIFE_S = 10 * 366 * 86_400
_COLUMNS = (
    api_key.c.id, api_key.c.name, api_key.c.client, api_key.c.scopes, api_key.c.created_at, api_key.c.expires_at,
    api_key.c.revoked_at, api_key.c.used_at,
)  # fmt: skip


def create_key(database: Database, wanted: NewKey, *, by: Actor) -> tuple[KeyInfo, str]:
    """Make a key; returns it, and its text, which nobody can read again.

    Raises:
        InvalidInput: its name, its client or its life is none. Unauthorized: who makes it has no key any more.
        Unavailable: the database does not answer.
    """
    _check(wanted)
    text = new_key()
    with noting(by) as notes, database.write() as connection:
        check_actor(connection, by)
        return store_key(connection, text, wanted, notes), text


def store_key(connection: Connection, text: str, wanted: NewKey, notes: Notes) -> KeyInfo:
    """Store a key that has this text, in somebody's transaction."""
    expires_at = None if wanted.expires_in_s is None else now() + wanted.expires_in_s
    values = row_of(text, wanted.name, wanted.client, wanted.scopes, expires_at=expires_at)
    made = to_key(connection.execute(insert(api_key).values(values).returning(*_COLUMNS)).one())
    notes.write(connection, Act.KEY_CREATED, made.id, after=_told(made))
    return made


def is_there_a_key(connection: Connection) -> bool:
    """Whether there is a stored key, or was once: then nobody gets in without one."""
    return connection.execute(select(api_key.c.id).limit(1)).first() is not None


def list_keys(database: Database) -> list[KeyInfo]:
    """All keys, also those that are revoked or expired; the newest first.

    Raises:
        Unavailable: the database does not answer.
    """
    keys = select(*_COLUMNS).where(api_key.c.parent.is_(None))
    with database.read() as connection:
        newest_first = api_key.c.created_at.desc(), api_key.c.id
        return [to_key(row) for row in connection.execute(keys.order_by(*newest_first))]


def get_key(database: Database, key_id: str) -> KeyInfo:
    """One key.

    Raises:
        NotFound: there is none with that public part (code `key_not_found`). Unavailable: the database does not answer.
    """
    with database.read() as connection:
        return _found(key_id, connection.execute(_one(key_id)).one_or_none())


def revoke_key(database: Database, key_id: str, *, by: Actor) -> KeyInfo:
    """Have a key open nothing any more; one that is revoked stays as it is.

    Raises:
        NotFound, Unavailable: as `get_key`.
    """
    one = _one(key_id)
    is_open = (api_key.c.id == key_id) & api_key.c.parent.is_(None) & api_key.c.revoked_at.is_(None)
    with noting(by) as notes, database.write() as connection:
        check_actor(connection, by)
        is_new = connection.execute(update(api_key).where(is_open).values(revoked_at=now())).rowcount
        found = _found(key_id, connection.execute(one).one_or_none())
        if is_new:
            notes.write(connection, Act.KEY_REVOKED, key_id, before=_told(found))
    return found


def rotate_key(database: Database, key_id: str, *, overlap_s: float, by: Actor) -> tuple[KeyInfo, str]:
    """Make a key that may do what another may, which expires after `overlap_s`; returns the new one, and its text.

    Raises:
        NotFound, Unavailable: as `get_key`. Conflict: that one opens nothing any more.
    """
    text = new_key()
    with noting(by) as notes, database.write() as connection:
        check_actor(connection, by)
        row = connection.execute(_one(key_id).with_for_update()).one_or_none()
        found = _found(key_id, row)
        at: float = connection.execute(select(now())).scalar_one()
        if found.revoked_at is not None or (found.expires_at is not None and found.expires_at <= at):
            raise Conflict(f"the key {key_id} is over: make a new one", code="key_over")
        ends_at = case((api_key.c.expires_at < at + overlap_s, api_key.c.expires_at), else_=at + overlap_s)
        ended = update(api_key).where(api_key.c.id == key_id).values(expires_at=ends_at)
        replaced = to_key(connection.execute(ended.returning(*_COLUMNS)).one())
        life_s = None if found.expires_at is None else found.expires_at - found.created_at
        expires_at = None if life_s is None else at + life_s
        values = row_of(text, found.name, found.client, found.scopes, expires_at=expires_at)
        made = to_key(connection.execute(insert(api_key).values(values).returning(*_COLUMNS)).one())
        after = _told(replaced) | {"replaced_by": made.id}
        notes.write(connection, Act.KEY_ROTATED, key_id, before=_told(found), after=after)
    return made, text


def row_of(
    text: str, name: str, client: str, scopes: Iterable[Scope], *, expires_at: Any, parent: str | None = None
) -> dict[str, Any]:
    """What is stored of a key that has this text; `parent`: of a session."""
    return {
        "id": id_of(text),
        "name": name,
        "client": client,
        "scopes": " ".join(sorted(scopes)),
        "digest": digest_of(text),
        "created_at": now(),
        "expires_at": expires_at,
        "parent": parent,
    }


def to_key(row: Any) -> KeyInfo:
    """A row that holds a key's columns as a value."""
    return KeyInfo(
        id=row.id,
        name=row.name,
        client=row.client,
        # What a newer release may know beside those of this one opens nothing here.
        scopes=frozenset(Scope(name) for name in row.scopes.split() if name in set(Scope)),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        used_at=row.used_at,
    )


def _told(key: KeyInfo) -> dict[str, Any]:
    """What the audit tells of a key."""
    expires = None if key.expires_at is None else datetime.fromtimestamp(key.expires_at, UTC)
    return {
        "name": key.name,
        "client": key.client,
        "scopes": sorted(key.scopes),
        "expires": expires and expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def check_actor(connection: Connection, by: Actor) -> None:
    """Judge in the transaction who was let in some time before it: keys are known here for half a second.

    Raises:
        Unauthorized: the key or its session is over by now; or nobody needed one, and now somebody has made the first.
    """
    if by.client == ANONYMOUS_NAME and not by.key_id:
        if is_there_a_key(connection):
            raise Unauthorized("a key is needed: somebody has made the first one")
        return
    is_over = api_key.c.revoked_at.is_not(None) | (api_key.c.expires_at <= now())
    is_its = api_key.c.id.in_((by.key_id, by.session_id))
    if connection.execute(select(api_key.c.id).where(is_its, is_over)).first() is not None:
        raise Unauthorized("the key was revoked or has expired, or its session has ended")


def _one(key_id: str) -> Select[Any]:
    """The row of a key.

    Raises:
        NotFound: it has not the form of an id; PostgreSQL takes not every text.
    """
    if not FORM_OF_ID.fullmatch(key_id):
        raise _none(key_id)
    return select(*_COLUMNS).where(api_key.c.id == key_id, api_key.c.parent.is_(None))


def _found(key_id: str, row: Any) -> KeyInfo:
    if row is None:
        raise _none(key_id)
    return to_key(row)


def _none(key_id: str) -> NotFound:
    return NotFound(f"there is no key {describe(key_id)}", code="key_not_found")


def _check(wanted: NewKey) -> None:
    name = wanted.name
    if not (name.isprintable() and name.strip() == name and 0 < len(name) <= LONGEST_NAME):
        raise InvalidInput.at("name", f"1 to {LONGEST_NAME} characters in one line", describe(name))
    if not is_client_name(wanted.client):
        raise InvalidInput.at("client", CLIENT_RULE, describe(wanted.client))
    life_s = wanted.expires_in_s
    if life_s is not None and not 0 < life_s <= LONGEST_LIFE_S:
        raise InvalidInput.at(
            "expires_in_s", f"more than 0 and at most {LONGEST_LIFE_S} seconds", f"{life_s:g}"
        )
