"""Imports: who may make a version of a file, and how that ends; on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, select

from production_server.errors import CeleriacError, Conflict, Fault, InvalidInput, NotFound
from production_server.jobs.database import Database
from production_server.jobs.imports import (
    Ended,
    ImportClaim,
    ModelImport,
    NewImport,
    add_import,
    cancel_import,
    claim_import,
    end_import,
    get_import,
    list_imports,
    new_import_id,
    open_imports,
    put_import_back,
    renew_import,
)
from production_server.jobs.reconcile import freed_chunks
from production_server.jobs.workers import alive_workers, beat

LEASE_S = 60.0


def add(database: Database, **changes: Any) -> ModelImport:
    new: dict[str, Any] = {
        "client": "anna",
        "model": "mine",
        "file": "model.onnx",
        "asked": {"dry_run": True},
        "actor": {"client": "anna"},
        "needs_tensorflow": False,
    }
    return add_import(database, new_import_id(), NewImport(**(new | changes)))


def take(database: Database, *, has_tensorflow: bool = True) -> ImportClaim | None:
    return claim_import(database, lease_s=LEASE_S, has_tensorflow=has_tensorflow)


def taken(database: Database) -> ImportClaim:
    held = take(database)
    assert held is not None
    return held


def test_the_first_that_came_is_taken_first_and_once(database: Database) -> None:
    first, second = add(database), add(database)

    with ThreadPoolExecutor(4) as threads:
        held = list(threads.map(lambda _: take(database), range(4)))

    ids = [each.found.id for each in held if each is not None]
    assert sorted(ids) == [first.id, second.id]
    assert (get_import(database, first.id, whose="anna").state, taken_asked(held)) == (
        "running",
        {"dry_run": True},
    )


def taken_asked(held: list[ImportClaim | None]) -> Any:
    return next(each.found.asked for each in held if each is not None)


def test_who_has_no_tensorflow_leaves_what_needs_it(database: Database) -> None:
    dear, cheap = add(database, needs_tensorflow=True), add(database)

    held = take(database, has_tensorflow=False)

    assert held is not None and held.found.id == cheap.id
    assert take(database, has_tensorflow=False) is None
    assert taken(database).found.id == dear.id


def test_how_it_ends_is_told_and_what_is_written_with_it(database: Database) -> None:
    found = add(database)
    held, told = taken(database), []

    def tell(connection: Connection) -> None:
        told.append(connection.execute(select(1)).scalar())

    ended = Ended(notes=["a\0b"], manifest={"version": "3"})
    assert end_import(database, held, ended, told=tell)

    over = get_import(database, found.id, whose=None)
    assert (over.state, over.is_over, over.notes, over.manifest) == (
        "succeeded",
        True,
        ("a\\0b",),
        {"version": "3"},
    )
    assert told == [1]
    assert take(database) is None and not open_imports(database)


@pytest.mark.parametrize(
    ("error", "faults"),
    [
        (InvalidInput.at("labels", "3 names", "2"), (Fault("labels", "3 names", "2"),)),
        (InvalidInput.at("l\0", "a\ud800", "b"), (Fault("l\\0", "a\\ud800", "b"),)),
        (CeleriacError("no"), ()),
    ],
)
def test_why_it_failed_is_kept(database: Database, error: CeleriacError, faults: tuple[Fault, ...]) -> None:
    found = add(database)
    end_import(database, taken(database), Ended(error=error))

    over = get_import(database, found.id, whose="anna")
    assert (over.state, over.error_code, over.faults) == ("failed", error.code, faults)


def test_one_that_was_cancelled_ends_nothing_any_more(database: Database) -> None:
    found = add(database)
    held = taken(database)
    assert renew_import(database, held, "Reading", lease_s=LEASE_S)
    assert get_import(database, found.id, whose=None).said == "Reading"

    assert cancel_import(database, found.id, whose="anna").state == "cancelled"

    assert not renew_import(database, held, "Comparing", lease_s=LEASE_S)
    assert not end_import(database, held, Ended(manifest={}), told=lambda _: pytest.fail("it is not told"))
    put_import_back(database, held, after_s=0, counts=False)
    assert get_import(database, found.id, whose=None).state == "cancelled"
    assert take(database) is None


def test_a_version_is_not_cancelled(database: Database) -> None:
    found = add(database)
    end_import(database, taken(database), Ended(manifest={"version": "2"}))

    with pytest.raises(Conflict, match="mine version 2 by now"):
        cancel_import(database, found.id, whose="anna")


def test_what_a_lost_worker_had_is_taken_again_and_counted(database: Database) -> None:
    add(database)
    first = taken(database)

    freed_chunks(database, {first.token}, chunk_items=10)
    second = taken(database)

    assert (first.found.tries, second.found.tries) == (1, 2)
    assert not end_import(database, first, Ended())
    put_import_back(database, second, after_s=0, counts=False)
    assert taken(database).found.tries == 2


def test_one_that_is_put_back_for_a_while_is_left_alone(database: Database) -> None:
    add(database)
    put_import_back(database, taken(database), after_s=60, counts=True)

    assert take(database) is None
    assert len(open_imports(database)) == 1


def test_imports_are_their_clients(database: Database) -> None:
    ids = [add(database, client=client).id for client in ("anna", "bert", "anna")]

    assert [each.id for each in list_imports(database, whose="anna", limit=9)] == [ids[2], ids[0]]
    assert [each.id for each in list_imports(database, whose=None, after=ids[2], limit=1)] == [ids[1]]
    for act in (get_import, cancel_import):
        with pytest.raises(NotFound, match="there is no import"):
            act(database, ids[1], whose="anna")
    with pytest.raises(NotFound):
        get_import(database, UUID(int=uuid4().int), whose=None)


def test_workers_tell_which_files_they_read(database: Database) -> None:
    beat(database, "a", warm=[], items_done=0)
    beat(database, "b", warm=[], items_done=0, imports="onnx")
    beat(database, "b", warm=[], items_done=0, imports="all")

    assert [each.imports for each in alive_workers(database)] == [None, "all"]
