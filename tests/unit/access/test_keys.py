"""Keys as they are stored, on both databases, and as a process knows them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy import select, update

from production_server.access import key_text, known_keys
from production_server.access.key_text import digest_of, id_of, new_key
from production_server.access.keys import create_key, get_key, list_keys, revoke_key, rotate_key
from production_server.access.known_keys import KnownKeys
from production_server.access.records import ANONYMOUS, Actor, Client, NewKey
from production_server.access.scopes import EVERYTHING, Scope
from production_server.errors import Conflict, InvalidInput, NotFound, NotKnownYet, Unauthorized, Unavailable
from production_server.jobs.database import Database, now
from production_server.jobs.tables import api_key
from testing.processes import wait_until

READ = frozenset({Scope.READ})
SOMEBODY = Actor("root", "cel_root0000", "192.0.2.1", "r1")


def wanted(name: str = "anna's", *, client: str = "anna", **told: Any) -> NewKey:
    return NewKey(name=name, client=client, **{"scopes": READ} | told)


def known(database: Database) -> KnownKeys:
    keys = KnownKeys(database)
    keys.look_again()
    return keys


def test_a_key_is_stored_without_what_opens(database: Database) -> None:
    made, key = create_key(database, wanted(expires_in_s=60), by=SOMEBODY)

    assert (made.id, made.name, made.client, made.scopes) == (id_of(key), "anna's", "anna", READ)
    assert made.expires_at == pytest.approx(made.created_at + 60, abs=5)
    with database.read() as connection:
        stored = connection.execute(select(api_key)).one()
    assert bytes(stored.digest) == digest_of(key)
    assert key not in repr(stored)


def test_keys_are_listed_the_newest_first(database: Database) -> None:
    made = [create_key(database, wanted(f"key {number}"), by=SOMEBODY)[0].id for number in range(3)]

    assert {key.id for key in list_keys(database)} == set(made)
    assert list_keys(database)[0].created_at >= list_keys(database)[-1].created_at


@pytest.mark.parametrize(
    ("told", "field"),
    [({"name": ""}, "name"), ({"name": "a\nb"}, "name"), ({"name": "x" * 65}, "name"), ({"name": " a"}, "name"),
     ({"client": "a b"}, "client"), ({"client": ""}, "client"), ({"expires_in_s": 0}, "expires_in_s"),
     ({"expires_in_s": float("nan")}, "expires_in_s"), ({"expires_in_s": 1e12}, "expires_in_s")],
)  # fmt: skip
def test_what_no_key_can_have_is_refused(sqlite_database: Database, told: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        create_key(
            sqlite_database, NewKey(**{"name": "a", "client": "a", "scopes": READ} | told), by=SOMEBODY
        )

    assert caught.value.faults[0].field == field
    assert list_keys(sqlite_database) == []


@pytest.mark.parametrize("key_id", ["cel_nothing0", "cel_nothin\0\0", "", "\ud800", "cel_" + "x" * 10_000])
def test_a_key_that_there_is_not_is_not_found(database: Database, key_id: str) -> None:
    with pytest.raises(NotFound):
        get_key(database, key_id)
    with pytest.raises(NotFound):
        revoke_key(database, key_id, by=SOMEBODY)
    with pytest.raises(NotFound):
        rotate_key(database, key_id, overlap_s=0, by=SOMEBODY)


def test_while_there_are_no_keys_none_is_needed(database: Database) -> None:
    keys = KnownKeys(database)
    with pytest.raises(NotKnownYet):
        _ = keys.are_needed

    keys.look_again()
    assert not keys.are_needed

    made, _ = create_key(database, wanted(), by=SOMEBODY)
    revoke_key(database, made.id, by=SOMEBODY)
    keys.look_again()
    assert keys.are_needed


def test_a_key_opens_what_it_was_made_for(database: Database) -> None:
    _, key = create_key(database, wanted(), by=SOMEBODY)

    assert known(database).find(key) == Client("anna", READ, id_of(key), "anna's")


def test_a_key_that_was_made_a_moment_ago_is_found_after_another_look(database: Database) -> None:
    keys = known(database)
    _, key = create_key(database, wanted(), by=SOMEBODY)

    with pytest.raises(NotKnownYet):
        keys.find(key)
    keys.look_again()
    assert keys.find(key).name == "anna"


def test_another_key_with_the_same_public_part_opens_nothing(database: Database) -> None:
    _, key = create_key(database, wanted(), by=SOMEBODY)
    keys = known(database)

    with pytest.raises(Unauthorized):
        keys.find(_with_id(id_of(key)))


def _with_id(key_id: str) -> str:
    body = key_id + new_key()[12:34]
    return body + key_text._checksum(body)


def test_a_revoked_key_opens_nothing_in_any_process_within_a_second(database: Database) -> None:
    made, key = create_key(database, wanted(), by=SOMEBODY)
    processes = [KnownKeys(database) for _ in range(2)]
    for keys in processes:
        keys.look_again()
        keys.start()
    try:
        assert [keys.find(key).name for keys in processes] == ["anna", "anna"]
        revoke_key(database, made.id, by=SOMEBODY)
        wait_until(
            lambda: all(_opens_nothing(keys, key) for keys in processes), what="it is known to be revoked"
        )
    finally:
        for keys in processes:
            keys.close()
    with pytest.raises(Unauthorized, match="was revoked"):
        processes[0].find(key)


def _opens_nothing(keys: KnownKeys, key: str) -> bool:
    try:
        keys.find(key)
    except Unauthorized:
        return True
    return False


def test_a_key_expires_by_the_databases_clock_without_another_look(database: Database) -> None:
    _, key = create_key(database, wanted(expires_in_s=0.5), by=SOMEBODY)
    keys = known(database)
    assert keys.find(key).name == "anna"

    time.sleep(0.6)

    with pytest.raises(Unauthorized, match="has expired"):
        keys.find(key)


def test_a_key_is_put_in_place_of_another_which_goes_on_for_a_while(database: Database) -> None:
    made, key = create_key(database, wanted(expires_in_s=1000), by=SOMEBODY)

    new, new_text = rotate_key(database, made.id, overlap_s=60, by=SOMEBODY)

    keys = known(database)
    assert keys.find(key).name == keys.find(new_text).name == "anna"
    assert (new.name, new.client, new.scopes) == (made.name, made.client, made.scopes)
    assert new.expires_at == pytest.approx(made.created_at + 1000, abs=5)
    assert get_key(database, made.id).expires_at == pytest.approx(made.created_at + 60, abs=5)


def test_what_expires_sooner_anyway_is_not_put_off(database: Database) -> None:
    made, _ = create_key(database, wanted(expires_in_s=30), by=SOMEBODY)

    rotate_key(database, made.id, overlap_s=3600, by=SOMEBODY)

    assert get_key(database, made.id).expires_at == made.expires_at


def test_a_key_that_is_over_is_not_replaced(database: Database) -> None:
    made, _ = create_key(database, wanted(), by=SOMEBODY)
    revoke_key(database, made.id, by=SOMEBODY)

    with pytest.raises(Conflict, match="is over"):
        rotate_key(database, made.id, overlap_s=60, by=SOMEBODY)
    assert len(list_keys(database)) == 1


def test_what_is_revoked_twice_is_so_since_the_first_time(database: Database) -> None:
    made, _ = create_key(database, wanted(), by=SOMEBODY)

    assert (
        revoke_key(database, made.id, by=SOMEBODY).revoked_at
        == revoke_key(database, made.id, by=SOMEBODY).revoked_at
    )


def test_who_came_in_is_out_when_the_key_is_over(database: Database) -> None:
    made, key = create_key(database, wanted(), by=SOMEBODY)
    soon, soon_text = create_key(database, wanted(expires_in_s=0.5), by=SOMEBODY)
    keys = known(database)
    client, other = keys.find(key), keys.find(soon_text)
    assert (keys.still_hold(client), keys.still_hold(other)) == (True, True)

    revoke_key(database, made.id, by=SOMEBODY)
    keys.look_again()
    time.sleep(0.6)

    assert (keys.still_hold(client), keys.still_hold(other)) == (False, False)
    assert not keys.still_hold(ANONYMOUS)
    assert soon.id == other.key_id


def test_whoever_came_in_without_a_key_is_out_with_the_first(sqlite_database: Database) -> None:
    keys = known(sqlite_database)
    assert keys.still_hold(ANONYMOUS)

    create_key(sqlite_database, wanted(), by=SOMEBODY)
    keys.look_again()

    assert not keys.still_hold(ANONYMOUS)


class Away:
    """A database that may be away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_away = False

    def read(self) -> Any:
        if self.is_away:
            raise Unavailable("away")
        return self._database.read()


def test_while_the_database_is_away_known_keys_stay_known_for_a_minute_and_nothing_new_gets_in(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Away(sqlite_database)
    _, key = create_key(sqlite_database, wanted(), by=SOMEBODY)
    keys = KnownKeys(database)  # type: ignore[arg-type]  # it has what is used
    keys.look_again()
    _, new = create_key(sqlite_database, wanted(), by=SOMEBODY)
    database.is_away = True

    assert keys.find(key).name == "anna"
    with pytest.raises(NotKnownYet):
        keys.find(new)
    with pytest.raises(Unavailable):
        keys.look_again()
    monkeypatch.setattr(known_keys, "KNOWN_S", -1.0)
    with pytest.raises(Unavailable, match="for a minute"):
        keys.find(key)


def test_keys_that_a_deployment_brings_need_no_database(sqlite_database: Database) -> None:
    database, key = Away(sqlite_database), new_key()
    database.is_away = True
    keys = KnownKeys(database, {digest_of(key): Client("lab", EVERYTHING, id_of(key), "API_KEYS: lab")})  # type: ignore[arg-type]  # it has what is used

    assert (keys.are_needed, keys.find(key).name) == (True, "lab")


def test_use_is_noted_now_and_then(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_keys, "NOTE_USE_S", -1.0)
    made, key = create_key(database, wanted(), by=SOMEBODY)
    other, _ = create_key(database, wanted("other"), by=SOMEBODY)
    keys = known(database)
    keys.find(key)

    keys._step()

    used_at = get_key(database, made.id).used_at
    assert used_at is not None
    assert used_at >= made.created_at
    assert get_key(database, other.id).used_at is None


def test_a_scope_of_a_newer_release_opens_nothing_here(database: Database) -> None:
    made, key = create_key(database, wanted(), by=SOMEBODY)
    with database.write() as connection:
        connection.execute(update(api_key).values(scopes="read fly", expires_at=now() + 1000))

    assert known(database).find(key).scopes == READ
    assert get_key(database, made.id).scopes == READ


@pytest.mark.parametrize(("jump_s", "is_over"), [(3600, True), (60, False), (-3600, False)])
def test_a_clock_that_jumps_ends_what_is_over_by_it_and_nothing_else(
    database: Database, monkeypatch: pytest.MonkeyPatch, jump_s: float, is_over: bool
) -> None:
    _, key = create_key(database, wanted(expires_in_s=600), by=SOMEBODY)
    keys = known(database)
    assert keys.find(key).name == "anna"

    monkeypatch.setattr(known_keys, "now", lambda: now() + jump_s)
    keys.look_again()

    if is_over:
        with pytest.raises(Unauthorized, match="has expired"):
            keys.find(key)
    else:
        assert keys.find(key).name == "anna"
