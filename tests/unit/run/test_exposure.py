"""Who is let in without a key, by where the service listens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from production_server.access.key_text import id_of, new_key
from production_server.access.keys import create_key, list_keys
from production_server.access.records import Actor, NewKey
from production_server.access.scopes import Scope
from production_server.errors import SettingsError
from production_server.jobs.database import Database
from production_server.run.address import take_addresses
from production_server.run.exposure import check_exposure, must_have_key, prepare_database
from production_server.settings import Settings

EVERYWHERE = ["0.0.0.0", "::"]


def settings(folder: Path, host: str = "0.0.0.0", **more: object) -> Settings:
    return Settings(state_dir=folder, host=host, port=0, **more)  # type: ignore[arg-type]


@contextmanager
def taken(of: Settings) -> Iterator[list[socket.socket]]:
    """Where it would listen."""
    addresses = take_addresses(of)
    try:
        yield addresses
    finally:
        for address in addresses:
            address.close()


def stored_keys(of: Settings) -> list[str]:
    with closing(Database(of.resolved_database_url)) as database:
        return [key.id for key in list_keys(database)]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_this_machine_needs_none(tmp_path: Path, host: str) -> None:
    alone = settings(tmp_path, host)
    prepare_database(alone)

    with taken(alone) as addresses:
        check_exposure(alone, addresses)

        assert not must_have_key(alone, addresses)


@pytest.mark.parametrize("host", EVERYWHERE)
def test_beyond_it_nothing_starts_as_long_as_there_is_none(tmp_path: Path, host: str) -> None:
    exposed = settings(tmp_path, host)
    prepare_database(exposed)

    with taken(exposed) as addresses:
        with pytest.raises(SettingsError) as caught:
            check_exposure(exposed, addresses)
        assert must_have_key(exposed, addresses)
    told = str(caught.value.faults[0])
    assert told.startswith("HOST: expected 127.0.0.1 as long as there is no key") and host in told
    assert "keys create NAME --scope admin" in told and "OPEN_TO_ALL=yes-i-know" in told


def test_with_one_that_is_stored_or_brought_it_starts(tmp_path: Path) -> None:
    stored = settings(tmp_path / "stored")
    prepare_database(stored)
    with closing(Database(stored.resolved_database_url)) as database:
        create_key(database, NewKey(name="a", client="a", scopes=frozenset({Scope.READ})), by=Actor("tests"))
    brought = settings(tmp_path / "brought", api_keys=f"{new_key()} bert")
    prepare_database(brought)

    for each in (stored, brought):
        with taken(each) as addresses:
            check_exposure(each, addresses)
            assert must_have_key(each, addresses)


def test_whoever_knows_what_he_does_may_open_it_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_to_all = settings(tmp_path, open_to_all="yes-i-know")
    prepare_database(open_to_all)

    with taken(open_to_all) as addresses:
        check_exposure(open_to_all, addresses)

        assert not must_have_key(open_to_all, addresses)
    assert "whoever reaches this service may do everything" in caplog.text


def test_while_the_database_is_away_it_starts_and_is_closed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    away = settings(tmp_path, database_url=f"postgresql://a:b@127.0.0.1:{port}/c")

    with taken(away) as addresses:
        check_exposure(away, addresses)

        assert must_have_key(away, addresses)


def test_the_first_key_is_made_where_a_file_is_named_and_no_admin_was_brought(tmp_path: Path) -> None:
    metrics, admin = f"{new_key()} prometheus metrics", f"{new_key()} root admin"
    made = settings(tmp_path / "made", first_key_file=tmp_path / "key", api_keys=metrics)
    brought = settings(tmp_path / "brought", first_key_file=tmp_path / "none", api_keys=admin)
    unasked = settings(tmp_path / "unasked")
    for each in (made, made, brought, unasked):
        prepare_database(each)

    assert stored_keys(made) == [id_of((tmp_path / "key").read_text())]
    assert (stored_keys(brought), stored_keys(unasked)) == ([], [])
    assert not (tmp_path / "none").exists()
