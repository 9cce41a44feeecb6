"""The first key: made once, on both databases, and left where only its owner reads it."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from production_server.access.audit import Wanted, list_lines
from production_server.access.first_key import make_first_key
from production_server.access.key_text import fault_of, id_of
from production_server.access.keys import is_there_a_key, list_keys, revoke_key
from production_server.access.records import Actor
from production_server.access.scopes import Scope
from production_server.errors import SettingsError
from production_server.jobs.database import Database


def test_it_is_left_in_a_file_that_its_owner_alone_can_read(database: Database, tmp_path: Path) -> None:
    assert make_first_key(database, tmp_path / "key")

    text = (tmp_path / "key").read_text().strip()
    (made,) = list_keys(database)
    assert fault_of(text) is None
    assert (id_of(text), made.scopes) == (made.id, frozenset({Scope.ADMIN}))
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    (line,) = list_lines(database, Wanted(), limit=10)
    assert (line.act, line.object, line.by.client) == ("key.created", made.id, "the service itself")
    assert text not in str(line)


def test_it_is_made_once_even_by_several_at_once_and_never_again(database: Database, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: make_first_key(database, tmp_path / "key"), range(4)))
    text = (tmp_path / "key").read_text()
    revoke_key(database, id_of(text), by=Actor("tests"))

    assert sorted(made) == [False, False, False, True]
    assert not make_first_key(database, tmp_path / "key")
    assert (tmp_path / "key").read_text() == text
    assert len(list_keys(database)) == 1


def test_a_file_that_is_there_keeps_its_mode_and_what_it_held_is_gone(
    sqlite_database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text("x" * 100)
    file.chmod(0o666)

    make_first_key(sqlite_database, file)

    assert fault_of(file.read_text().strip()) is None
    assert stat.S_IMODE(file.stat().st_mode) == 0o666


@pytest.mark.parametrize("name", ["no/such/folder", ".", "link", "fifo", "fifo that is read", "/dev/null"])
def test_where_it_cannot_be_left_there_is_none(sqlite_database: Database, tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for fifo in ("fifo", "fifo that is read"):
        os.mkfifo(tmp_path / fifo)
    reader = os.open(tmp_path / "fifo that is read", os.O_RDONLY | os.O_NONBLOCK)

    with pytest.raises(SettingsError, match="FIRST_KEY_FILE: expected a file that can be written"):
        make_first_key(sqlite_database, tmp_path / name)
    os.close(reader)

    with sqlite_database.read() as connection:
        assert not is_there_a_key(connection)
    assert not (tmp_path / "elsewhere").exists()
