"""Scans: listings of buckets that become jobs. Whoever lists holds a lease; who comes after goes on behind a cursor."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, false, or_, select, update

from production_server.errors import CeleriacError, NotFound
from production_server.jobs.cancel import Told, cancel, stop_scan
from production_server.jobs.database import Database, now
from production_server.jobs.growth import Retake, add_objects, count_new
from production_server.jobs.leases import FREE, free_after, is_held, may_be_taken, next_try_of, renewed, taken
from production_server.jobs.read import belongs_to
from production_server.jobs.reasons import storable_reason
from production_server.jobs.records import Scan
from production_server.jobs.settle import settle
from production_server.jobs.tables import scan
from production_server.storage.objects import Reference

SOURCE = "scan"
"""The source of jobs that scans fill."""
ASKED = ("url", "pattern", "model", "version", "again", "dry_run")
"""What makes two scans the same."""
scan_columns = (
    scan.c.id, scan.c.client, *(scan.c[name] for name in ASKED), scan.c.state, scan.c.cursor, scan.c.listed,
    scan.c.matched, scan.c.skipped, scan.c.created_at, scan.c.finished_at, scan.c.error_code, scan.c.error_message,
    scan.c.vain_tries, next_try_of(scan).label("next_try_at"),
)  # fmt: skip
_NEXT = (
    select(scan.c.id)
    .where((scan.c.state == "listing") & may_be_taken(scan))
    .order_by(scan.c.vain_tries > 0, scan.c.id)
    .limit(1)
)
"""The first scan that nobody goes on with; those whose last try was in vain come after all others."""


@dataclass(frozen=True, slots=True)
class ScanClaim:
    """The right to go on with a scan; `token` fences off whoever had it before."""

    scan: Scan
    token: UUID


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a listing: how many objects were looked at, those that match, and where to go on."""

    objects: int
    matching: Sequence[Reference]
    cursor: str


def claim_scan(
    database: Database,
    *,
    lease_s: float,
    without: Collection[str] = (),
    only: Collection[str] | None = None,
) -> ScanClaim | None:
    """Take the next scan that nobody goes on with, of any bucket but those `without`; None if there is none.

    `only`: of those buckets; None: of any.

    Raises:
        Unavailable: the database does not answer.
    """
    # Each worker looks several times a second: writing at once would take five times as long, and SQLite's one lock.
    with database.read() as connection:
        if connection.execute(_NEXT).first() is None:
            return None
    wanted = _NEXT.where(*(~_is_of(bucket) for bucket in without))
    if only is not None:
        wanted = wanted.where(or_(false(), *map(_is_of, only)))
    first = wanted.with_for_update(skip_locked=True).scalar_subquery()
    token = uuid4()
    held = update(scan).where(scan.c.id == first).values(taken(token, lease_s))
    with database.write() as connection:
        row = connection.execute(held.returning(*scan_columns)).one_or_none()
        if row is None:
            return None
    return ScanClaim(to_scan(row), token)


def note_page(
    database: Database, held: ScanClaim, page: Listed, *, lease_s: float, chunk_items: int
) -> range | None:
    """Make items of a page in one transaction, and go on behind it; returns their indexes, None if the claim is lost.

    Of a dry run nothing is made; it counts what would be. What was wrong with the tries before is over.
    """
    found = held.scan
    with database.write() as connection:
        if not _note(
            connection, held, cursor=page.cursor, listed=scan.c.listed + page.objects, lease_s=lease_s
        ):
            return None
        asker = (found.model, found.version, found.client)
        retake: Retake = "everything" if found.again else "failed"
        if found.dry_run:
            added, matched = range(0), count_new(connection, asker, page.matching, retake=retake)
        else:
            added = add_objects(
                connection, found.id, asker, page.matching, chunk_items=chunk_items, retake=retake
            )
            matched = len(added)
        counts = {
            "matched": scan.c.matched + matched,
            "skipped": scan.c.skipped + len(page.matching) - matched,
        }
        connection.execute(update(scan).where(scan.c.id == found.id).values(counts))
    return added


def end_scan(database: Database, held: ScanClaim, *, error: CeleriacError | None = None) -> None:
    """The listing is complete, or cannot go on. What it has found so far is classified all the same."""
    state = "listed" if error is None else "failed"
    told = None if error is None else storable_reason(str(error))
    values = {
        "state": state,
        "finished_at": now(),
        "error_code": getattr(error, "code", None),
        "error_message": told,
    }
    with database.write() as connection:
        if connection.execute(update(scan).where(_is_mine(held)).values(values | FREE)).rowcount:
            settle(connection, held.scan.id, stops_growing=True)


def put_back(database: Database, held: ScanClaim) -> None:
    """Let somebody else go on with a scan at once: who has it stops."""
    with database.write() as connection:
        connection.execute(update(scan).where(_is_mine(held)).values(FREE))


def fail_for_now(database: Database, held: ScanClaim, *, error: CeleriacError, after_s: float) -> None:
    """Note why a scan does not go on, and let somebody try again after that many seconds."""
    values = {
        "vain_tries": scan.c.vain_tries + 1,
        "error_code": error.code,
        "error_message": storable_reason(str(error)),
    }
    with database.write() as connection:
        connection.execute(update(scan).where(_is_mine(held)).values(values | free_after(after_s)))


def cancel_scan(database: Database, scan_id: UUID, *, whose: str | None, told: Told | None = None) -> Scan:
    """Stop listing, and cancel what was found and has not run; of one that is over nobody is `told`.

    Raises:
        NotFound: there is no such scan.
    """
    found = get_scan(database, scan_id, whose=whose)
    if found.dry_run:
        with database.write() as connection:
            if stop_scan(connection, scan_id) and told is not None:
                told(connection, found.client)
    else:
        cancel(database, scan_id, whose=None, told=told)
    return get_scan(database, scan_id, whose=whose)


def get_scan(database: Database, scan_id: UUID, *, whose: str | None) -> Scan:
    """One scan of a client as it stands; None: of any.

    Raises:
        NotFound: there is no such scan (code `scan_not_found`).
    """
    with database.read() as connection:
        is_it = (scan.c.id == scan_id, *belongs_to(scan, whose))
        row = connection.execute(select(*scan_columns).where(*is_it)).one_or_none()
    if row is None:
        raise NotFound(f"there is no scan {scan_id}", code="scan_not_found")
    return to_scan(row)


def list_scans(database: Database, *, whose: str | None, after: UUID | None = None, limit: int) -> list[Scan]:
    """Scans of a client, or of all, newest first; `after` is the last one of the page before."""
    query = select(*scan_columns).where(*belongs_to(scan, whose)).order_by(scan.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(scan.c.id < after)
    with database.read() as connection:
        return [to_scan(row) for row in connection.execute(query)]


def _note(connection: Connection, held: ScanClaim, *, cursor: str, listed: Any, lease_s: float) -> bool:
    noted = update(scan).where(_is_mine(held) & (scan.c.state == "listing"))
    goes_on = {"vain_tries": 0, "error_code": None, "error_message": None}
    values = {"cursor": cursor, "listed": listed, **goes_on, **renewed(lease_s)}
    return connection.execute(noted.values(values)).rowcount > 0


def _is_of(bucket: str) -> ColumnElement[bool]:
    return scan.c.url.startswith(f"{bucket}/", autoescape=True)


def _is_mine(held: ScanClaim) -> ColumnElement[bool]:
    return (scan.c.id == held.scan.id) & is_held(scan, held.token)


def to_scan(row: Any) -> Scan:
    """A row that holds `scan_columns` as a value."""
    return Scan(**{column.name: getattr(row, column.name) for column in scan_columns})
