"""A database that says nothing is noticed, and waited for by one at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from production_server.errors import Unavailable
from production_server.jobs import silence as silence_module
from production_server.jobs.database import Database
from production_server.jobs.silence import Silence
from testing.network import Network, network
from testing.postgres import PostgresCluster, new_database


@pytest.fixture
def way(postgres: PostgresCluster) -> Iterator[Network]:
    with network(postgres.start().port) as between:
        yield between


@pytest.fixture
def far(postgres: PostgresCluster, way: Network, migrated_postgres: str) -> Iterator[Database]:
    """A database behind a network that can be cut."""
    with new_database(postgres, template=migrated_postgres) as url:
        database = Database(url.replace(f":{postgres.port}/", f":{way.port}/"), connections=2)
        yield database
        way.mend()
        database.close()


def ask(database: Database, statement: str = "SELECT 1") -> None:
    with database.read() as connection:
        connection.execute(text(statement))


def is_refused_at_once(silence: Silence) -> bool:
    try:
        silence.check()
    except Unavailable:
        return True
    return False


def ask_elsewhere(silence: Silence) -> bool:
    with ThreadPoolExecutor(1) as other:
        return other.submit(is_refused_at_once, silence).result()


def test_while_a_database_is_silent_one_at_a_time_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = Silence("somewhere")
    assert not is_refused_at_once(silence)

    silence.begins()
    just_now = is_refused_at_once(silence)
    monkeypatch.setattr(silence_module, "AGAIN_S", 0.0)
    silence.begins()
    tries, others, still = is_refused_at_once(silence), ask_elsewhere(silence), is_refused_at_once(silence)
    silence.ends()

    assert (just_now, tries, others, still, ask_elsewhere(silence)) == (True, False, True, False, False)


def test_who_tries_and_never_comes_back_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence_module, "AGAIN_S", 0.0)
    monkeypatch.setattr(silence_module, "TRY_S", 0.0)
    silence = Silence("somewhere")
    silence.begins()

    assert not is_refused_at_once(silence)
    assert not ask_elsewhere(silence)


def test_a_statement_may_take_longer_than_a_silence(far: Database) -> None:
    ask(far, "SELECT pg_sleep(5)")


def test_a_connection_that_was_forgotten_is_replaced_unnoticed(far: Database, way: Network) -> None:
    ask(far)
    way.forget_connections()

    ask(far)


def test_what_a_lost_connection_has_locked_is_let_go(far: Database, way: Network) -> None:
    def lose_it() -> None:
        with far.write() as connection:
            connection.execute(text("LOCK TABLE job"))
            way.forget_connections()
            connection.execute(text("SELECT 1"))

    with pytest.raises(Unavailable, match="does not answer"):
        lose_it()

    with far.write() as connection:
        connection.execute(text("LOCK TABLE job NOWAIT"))


def test_a_silent_database_is_told_in_time_and_then_at_once_until_it_answers(
    far: Database, way: Network
) -> None:
    ask(far)
    way.cut()
    with pytest.raises(Unavailable):
        ask(far)
    began = time.monotonic()

    with pytest.raises(Unavailable, match="somebody else waits"):
        ask(far)
    seconds = time.monotonic() - began
    way.mend()
    time.sleep(silence_module.AGAIN_S)
    ask(far)

    assert seconds < silence_module.AGAIN_S


def test_who_finds_no_connection_free_is_told_so(far: Database) -> None:
    with far.read(), far.read(), pytest.raises(Unavailable, match="too many wait"):
        ask(far)

    time.sleep(silence_module.AGAIN_S)
    ask(far)
