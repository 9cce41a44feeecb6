from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from production_server.broker.local_queue import LocalQueue
from production_server.broker.publisher import Publisher
from production_server.errors import StorageUnavailable, Unavailable
from production_server.intake.intake import Intake
from production_server.jobs.database import Database
from production_server.jobs.read import every_item, get_job
from production_server.jobs.reconcile import unpublished_chunks
from production_server.jobs.records import Chunk, NewScan, Scan
from production_server.jobs.scans import get_scan
from production_server.jobs.submit import start_scan
from production_server.settings import Settings, read_settings
from production_server.sources.scanner import Scanner, matches
from production_server.storage.locations import Location
from production_server.storage.objects import Page
from production_server.storage.storage import Storage


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "photos"
    folder.mkdir()
    return read_settings({"STORAGE_ALLOW": f"file://{folder}", "CHUNK_ITEMS": "2"})


@pytest.fixture
def scanner(sqlite_database: Database, settings: Settings) -> Scanner:
    return scanner_of(sqlite_database, Storage(settings.storage_allow), settings)


def scanner_of(
    database: Database, storage: Storage, settings: Settings, publisher: Publisher | None = None
) -> Scanner:
    publisher = publisher or LocalQueue()
    return Scanner(database, storage, Intake(settings, database, storage, publisher), settings)


def begin(scanner: Scanner, **changes: object) -> Scan:
    url = scanner.settings.storage_allow[0].url
    asked = {"url": url, "pattern": "*", "model": "picture", "version": "1"} | changes
    return start_scan(scanner.database, NewScan(**asked), client="c")[0]  # type: ignore[arg-type]


def fill(settings: Settings, *names: str) -> None:
    for name in names:
        path = Path(f"/{settings.storage_allow[0].key}") / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())


def test_what_matches_becomes_items_and_messages(scanner: Scanner, settings: Settings) -> None:
    fill(settings, "a.png", "b.PNG", "c.txt", "more/d.png")
    begun = begin(scanner, pattern="*.png")

    assert scanner.scan_next()

    names = {item.name for item in every_item(scanner.database, begun.id)}
    found = get_scan(scanner.database, begun.id)
    assert names == {"a.png", "b.PNG", "d.png"}
    assert (found.state, found.listed, found.matched) == ("listed", 4, 3)
    assert scanner.intake.waiting_messages() >= 2


def test_without_a_scan_there_is_nothing_to_do(scanner: Scanner) -> None:
    assert not scanner.scan_next()


def test_a_place_that_is_not_there_ends_the_scan_with_the_reason(scanner: Scanner) -> None:
    begun = begin(scanner, url=f"{scanner.settings.storage_allow[0].url}/nothing")

    scanner.scan_next()

    found = get_scan(scanner.database, begun.id)
    assert (found.state, found.error_code) == ("failed", "object_missing")
    assert get_job(scanner.database, begun.id).state == "finished"


def test_a_place_that_is_no_longer_allowed_ends_the_scan(scanner: Scanner) -> None:
    begun = begin(scanner, url="file:///etc")

    scanner.scan_next()

    assert get_scan(scanner.database, begun.id).error_code == "location_not_allowed"


class Interrupted(Storage):
    """A storage that does not answer after the first page."""

    is_up = False

    def pages(self, location: Location, *, cursor: str = "") -> Iterator[Page]:
        for page in super().pages(location, cursor=cursor):
            for reference in page.references:
                yield Page((reference,), "")
                if not self.is_up:
                    raise StorageUnavailable("the store does not answer")


def test_a_store_that_fails_in_the_middle_is_asked_again_and_nothing_comes_twice(
    sqlite_database: Database, settings: Settings
) -> None:
    fill(settings, "a", "b", "c")
    storage = Interrupted(settings.storage_allow)
    scanner = scanner_of(sqlite_database, storage, settings)
    begun = begin(scanner)

    scanner.scan_next()
    between = get_scan(sqlite_database, begun.id), get_job(sqlite_database, begun.id).total
    storage.is_up = True
    free(sqlite_database)
    scanner.scan_next()

    assert (between[0].state, between[1]) == ("listing", 1)
    assert get_scan(sqlite_database, begun.id).state == "listed"
    assert sorted(str(item.name) for item in every_item(sqlite_database, begun.id)) == ["a", "b", "c"]


def free(database: Database) -> None:
    """Let the time be over that a scan which was put back waits."""
    from sqlalchemy import update

    from production_server.jobs.tables import scan

    with database.write() as connection:
        connection.execute(update(scan).values(lease_until=None))


def test_a_scanner_that_is_stopped_leaves_the_rest_to_the_next_one(
    scanner: Scanner, settings: Settings
) -> None:
    fill(settings, "a")
    begun = begin(scanner)
    scanner.stopping.set()

    scanner.scan_next()

    assert get_scan(scanner.database, begun.id).state == "listing"


@pytest.mark.parametrize(
    ("pattern", "key", "is_match"),
    [
        ("*", "in/a.jpg", True),
        ("*.jpg", "in/deep/a.JPG", True),
        ("*.jpg", "in/a.jpeg", False),
        ("a?.png", "in/a1.png", True),
        ("2026/*.jpg", "in/2026/a.jpg", True),
        ("2026/*.jpg", "in/2025/a.jpg", False),
        ("in/*", "in/a.jpg", False),
        ("[ab].png", "in/b.png", True),
    ],
)
def test_a_pattern_is_held_against_the_name_or_with_a_slash_against_the_key_behind_the_place(
    pattern: str, key: str, *, is_match: bool
) -> None:
    assert matches(pattern, Location.parse("s3://photos/in"), f"s3://photos/{key}") is is_match


class OneByOne(Storage):
    """A storage whose pages have one object each."""

    def pages(self, location: Location, *, cursor: str = "") -> Iterator[Page]:
        for page in super().pages(location, cursor=cursor):
            yield from (Page((reference,), "") for reference in page.references)


class SecondFails(LocalQueue):
    """A publisher whose broker does not answer when it is asked for the second time."""

    asked = 0

    def publish(self, chunks: Sequence[Chunk]) -> None:
        self.asked += 1
        if self.asked == 2:
            raise Unavailable("the broker does not answer")
        super().publish(chunks)


def test_a_page_that_could_not_be_handed_over_does_not_wait_until_a_queue_is_empty(
    sqlite_database: Database, settings: Settings
) -> None:
    fill(settings, "a", "b", "c")
    publisher = SecondFails()
    scanner = scanner_of(sqlite_database, OneByOne(settings.storage_allow), settings, publisher)
    begun = begin(scanner)
    scanner.scan_next()

    missing = list(unpublished_chunks(sqlite_database, chunk_items=2, grace_s=0, is_queue_empty=False))
    afterwards = list(unpublished_chunks(sqlite_database, chunk_items=2, grace_s=0, is_queue_empty=False))

    assert (missing, afterwards) == ([(begun.id, [Chunk(begun.id, 1, 3, "normal")])], [])
    assert get_scan(sqlite_database, begun.id).state == "listed"
