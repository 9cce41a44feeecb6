from __future__ import annotations

import logging
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from production_server.broker.local_queue import LocalQueue
from production_server.broker.publisher import Publisher
from production_server.errors import ObjectUnusable, StorageUnavailable, Unavailable
from production_server.intake.intake import Intake
from production_server.jobs.away import waiting_for
from production_server.jobs.database import Database
from production_server.jobs.object_chunks import ObjectChunk, take
from production_server.jobs.read import every_item, get_input, get_job
from production_server.jobs.records import Chunk, NewScan, Scan
from production_server.jobs.scans import get_scan
from production_server.jobs.submit import start_scan
from production_server.settings import Settings, read_settings
from production_server.sources.scanner import MISTAKES, SCANS, Scanner, matches
from production_server.storage.locations import Location
from production_server.storage.objects import Page, Reference
from production_server.storage.storage import Storage
from testing.processes import wait_until


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


def test_what_matches_becomes_items_that_wait_to_be_fetched(scanner: Scanner, settings: Settings) -> None:
    fill(settings, "a.png", "b.PNG", "c.txt", "more/d.png")
    begun = begin(scanner, pattern="*.png")

    assert scanner.scan_next()

    names = {item.name for item in every_item(scanner.database, begun.id)}
    found = get_scan(scanner.database, begun.id, whose=None)
    assert names == {"a.png", "b.PNG", "d.png"}
    assert (found.state, found.listed, found.matched) == ("listed", 4, 3)
    waiting = chunks_of(scanner)
    assert [(chunk.start, chunk.stop, chunk.bucket) for chunk in waiting] == [
        (0, 2, "file://"),
        (2, 3, "file://"),
    ]
    assert scanner.intake.waiting_messages() == 0


def test_without_a_scan_there_is_nothing_to_do(scanner: Scanner) -> None:
    assert not scanner.scan_next()


def test_a_place_that_is_not_there_ends_the_scan_with_the_reason(scanner: Scanner) -> None:
    begun = begin(scanner, url=f"{scanner.settings.storage_allow[0].url}/nothing")

    scanner.scan_next()

    found = get_scan(scanner.database, begun.id, whose=None)
    assert (found.state, found.error_code) == ("failed", "object_missing")
    assert get_job(scanner.database, begun.id, whose=None).state == "finished"


def test_a_place_that_is_no_longer_allowed_ends_the_scan(scanner: Scanner) -> None:
    begun = begin(scanner, url="file:///etc")

    scanner.scan_next()

    assert get_scan(scanner.database, begun.id, whose=None).error_code == "location_not_allowed"


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
    between = (
        get_scan(sqlite_database, begun.id, whose=None),
        get_job(sqlite_database, begun.id, whose=None).total,
    )
    storage.is_up = True
    free(sqlite_database)
    scanner.scan_next()

    assert (between[0].state, between[1]) == ("listing", 1)
    assert get_scan(sqlite_database, begun.id, whose=None).state == "listed"
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

    assert get_scan(scanner.database, begun.id, whose=None).state == "listing"


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


class Down(LocalQueue):
    """A publisher whose broker does not answer."""

    def publish(self, chunks: Sequence[Chunk]) -> None:
        raise Unavailable("the broker does not answer")


def test_while_the_broker_does_not_answer_a_scan_goes_on(
    sqlite_database: Database, settings: Settings
) -> None:
    fill(settings, "a", "b", "c")
    scanner = scanner_of(sqlite_database, OneByOne(settings.storage_allow), settings, Down())
    begun = begin(scanner)

    scanner.scan_next()

    assert [(chunk.start, chunk.stop) for chunk in chunks_of(scanner)] == [(0, 1), (1, 2), (2, 3)]
    assert get_scan(sqlite_database, begun.id, whose=None).state == "listed"


def chunks_of(scanner: Scanner) -> list[ObjectChunk]:
    """All chunks that wait, in the order in which they are taken."""
    found: list[ObjectChunk] = []
    while (chunk := take(scanner.database, lease_s=60, patience_s=60)) is not None:
        found.append(chunk)
    return found


def add_undecodable(settings: Settings) -> None:
    """A file whose name is Latin-1, as old archives have them."""
    folder = f"/{settings.storage_allow[0].key}".encode()
    Path(os.fsdecode(folder + b"/caf\xe9.png")).write_bytes(b"x")


def test_a_name_that_is_not_utf_8_is_an_item_that_can_be_read_and_its_neighbours_are_listed(
    scanner: Scanner, settings: Settings
) -> None:
    fill(settings, "a.png", "z.png", "caf%E9.png")
    add_undecodable(settings)
    begun = begin(scanner, pattern="*.png")

    scanner.scan_next()

    items = list(every_item(scanner.database, begun.id))
    inputs = [get_input(scanner.database, begun.id, item.index) for item in items]
    odd = [each for each in inputs if isinstance(each, Reference) and each.fault]
    assert get_scan(scanner.database, begun.id, whose=None).state == "listed"
    assert sorted(str(item.name) for item in items) == ["a.png", "caf%E9.png", "caf%E9.png", "z.png"]
    assert [each.url.rpartition("/")[2] for each in odd] == ["caf%E9.png"]
    with pytest.raises(ObjectUnusable, match="not UTF-8") as refused:
        scanner.storage.fetch(odd[0], max_bytes=100)
    assert refused.value.code == "object_name_unusable"


def test_a_name_that_is_not_utf_8_is_not_made_an_item_twice(scanner: Scanner, settings: Settings) -> None:
    add_undecodable(settings)
    begin(scanner)
    scanner.scan_next()
    again = begin(scanner)

    scanner.scan_next()

    found = get_scan(scanner.database, again.id, whose=None)
    assert (found.matched, found.skipped) == (0, 1)


@pytest.mark.parametrize("name", ["a\nb.png", "a\tb.png", "\x01.png", "ünïcödé 日本.png", "-.png", " .png"])
def test_a_name_that_is_odd_and_can_be_stored_is_fetched_as_any_other(
    scanner: Scanner, settings: Settings, name: str
) -> None:
    fill(settings, name)
    begun = begin(scanner)

    scanner.scan_next()

    found = get_input(scanner.database, begun.id, 0)
    assert isinstance(found, Reference)
    assert scanner.storage.fetch(found, max_bytes=100) == name.encode()


def test_a_file_so_deep_that_its_name_cannot_be_kept_fails_and_its_neighbours_are_listed(
    scanner: Scanner, settings: Settings
) -> None:
    fill(settings, "a.png")
    folder = Path(f"/{settings.storage_allow[0].key}").joinpath(*["d" * 250] * 9)
    folder.mkdir(parents=True)
    (folder / "deep.png").write_bytes(b"x")
    begun = begin(scanner)

    scanner.scan_next()

    items = {item.name: item for item in every_item(scanner.database, begun.id)}
    deep = get_input(scanner.database, begun.id, items["deep.png"].index)
    assert set(items) == {"a.png", "deep.png"}
    assert isinstance(deep, Reference) and "bytes" in deep.fault and "…" in deep.url


def test_a_folder_that_cannot_be_read_is_an_item_and_its_neighbours_are_listed(
    scanner: Scanner, settings: Settings
) -> None:
    if os.geteuid() == 0:
        pytest.skip("nothing is closed to root")
    fill(settings, "a.png", "closed/b.png", "more/c.png")
    closed = Path(f"/{settings.storage_allow[0].key}") / "closed"
    closed.chmod(0)
    begun = begin(scanner, pattern="*.png")

    scanner.scan_next()
    names = {str(item.name) for item in every_item(scanner.database, begun.id)}
    closed.chmod(0o700)

    assert names == {"a.png", "closed", "c.png"}
    assert get_scan(scanner.database, begun.id, whose=None).state == "listed"


def test_folders_in_folders_without_end_are_listed(scanner: Scanner, settings: Settings) -> None:
    folder = f"/{settings.storage_allow[0].key}"
    deep = "/".join([folder, *"d" * 1500])
    # Python's own ways to make and to remove so many go as deep as they do.
    subprocess.run(["mkdir", "-p", deep], check=True)
    Path(f"{deep}/a.png").write_bytes(b"x")
    begun = begin(scanner)

    scanner.scan_next()
    subprocess.run(["rm", "-r", folder], check=True)

    assert [item.name for item in every_item(scanner.database, begun.id)] == ["a.png"]


class Broken(Storage):
    """A storage whose listing fails for a reason that nobody has thought of."""

    def pages(self, location: Location, *, cursor: str = "") -> Iterator[Page]:
        raise ZeroDivisionError


def test_a_scan_that_fails_for_no_known_reason_says_so_and_ends_after_some_tries(
    sqlite_database: Database, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    scanner = scanner_of(sqlite_database, Broken(settings.storage_allow), settings)
    begun = begin(scanner)

    with caplog.at_level(logging.CRITICAL + 1, logger="production_server.sources.scanner"):
        scanner.scan_next()
        first = get_scan(sqlite_database, begun.id, whose=None)
        for _ in range(MISTAKES - 1):
            free(sqlite_database)
            scanner.scan_next()

    last = get_scan(sqlite_database, begun.id, whose=None)
    assert (first.state, first.error_code) == ("listing", "internal_error")
    assert (last.state, last.error_code) == ("failed", "internal_error")
    assert get_job(sqlite_database, begun.id, whose=None).state == "finished"


def test_a_scan_whose_store_does_not_answer_says_why_and_forgets_it_when_it_goes_on(
    sqlite_database: Database, settings: Settings
) -> None:
    fill(settings, "a", "b")
    storage = Interrupted(settings.storage_allow)
    scanner = scanner_of(sqlite_database, storage, settings)
    begun = begin(scanner)

    scanner.scan_next()
    waiting = waiting_for(sqlite_database, [begun.id])[begun.id]
    storage.is_up = True
    free(sqlite_database)
    scanner.scan_next()

    assert (waiting.bucket, waiting.message) == (begun.url, "the store does not answer")
    assert waiting_for(sqlite_database, [begun.id]) == {}
    assert get_scan(sqlite_database, begun.id, whose=None).error_message is None


def test_while_a_scans_store_is_asked_again_it_tells_no_time_of_a_next_try(
    sqlite_database: Database, settings: Settings
) -> None:
    seen: list[float | None] = []

    class Looking(Storage):
        def pages(self, location: Location, *, cursor: str = "") -> Iterator[Page]:
            seen.append(get_scan(sqlite_database, begun.id, whose=None).next_try_at)
            seen.extend(each.next_try_at for each in waiting_for(sqlite_database, [begun.id]).values())
            raise StorageUnavailable("the store does not answer")

    scanner = scanner_of(sqlite_database, Looking(settings.storage_allow), settings)
    begun = begin(scanner)
    scanner.scan_next()
    between = get_scan(sqlite_database, begun.id, whose=None).next_try_at
    free(sqlite_database)

    scanner.scan_next()

    assert between is not None
    assert seen == [None] * 3


def test_a_scan_whose_store_does_not_answer_keeps_no_other_from_its_turn(
    sqlite_database: Database, settings: Settings
) -> None:
    fill(settings, "a")
    blocked = threading.Event()

    class Hanging(Storage):
        def pages(self, location: Location, *, cursor: str = "") -> Iterator[Page]:
            if location.scheme == "s3":
                blocked.wait()
                raise StorageUnavailable("the store does not answer")
            yield from super().pages(location, cursor=cursor)

    scanner = scanner_of(sqlite_database, Hanging(settings.storage_allow), settings)
    vain = [begin(scanner, url=f"s3://photos{number}/") for number in range(SCANS)]
    scanner.look()
    good = begin(scanner)
    blocked.set()
    wait_until(
        lambda: (
            scanner.look() or all(get_scan(sqlite_database, each.id, whose=None).error_code for each in vain)
        ),
        what="all are tried",
    )
    blocked.clear()
    free(sqlite_database)

    wait_until(
        lambda: scanner.look() or get_scan(sqlite_database, good.id, whose=None).state == "listed",
        what="it is listed",
    )

    assert {get_scan(sqlite_database, each.id, whose=None).state for each in vain} == {"listing"}
    blocked.set()
    scanner.stopping.set()
    scanner.close()


def test_a_folder_is_listed_at_once_while_many_buckets_that_have_never_answered_hang(
    sqlite_database: Database, settings: Settings
) -> None:
    fill(settings, "a")
    released = threading.Event()
    asked: list[str] = []

    class Hanging(Storage):
        def pages(self, location: Location, *, cursor: str = "") -> Iterator[Page]:
            asked.append(location.bucket_url)
            if location.scheme == "s3" and location.bucket != "answers":
                released.wait()
                raise StorageUnavailable("the store does not answer")
            if location.scheme == "file":
                yield from super().pages(location, cursor=cursor)
            else:
                yield Page((), "")

    scanner = scanner_of(sqlite_database, Hanging(settings.storage_allow), settings)
    answers = begin(scanner, url="s3://answers/1/")
    scanner.scan_next()
    for number in range(2 * SCANS):
        begin(scanner, url=f"s3://silent{number}/")
    scanner.look()
    good = [begin(scanner), begin(scanner, url="s3://answers/2/"), answers]

    wait_until(
        lambda: (
            scanner.look()
            or all(get_scan(sqlite_database, each.id, whose=None).state == "listed" for each in good)
        ),
        what="folders and what has answered lately are listed",
    )

    assert sum("silent" in bucket for bucket in asked) == SCANS // 2
    scanner.stopping.set()
    released.set()
    scanner.close()


def test_what_programs_leave_beside_pictures_is_passed_over(scanner: Scanner, settings: Settings) -> None:
    left = [".DS_Store", "Thumbs.db", "desktop.ini", "._a.png", "__MACOSX/b.png", ".ipynb_checkpoints/a.png"]
    fill(settings, "a.png", *left)
    begun = begin(scanner)

    scanner.scan_next()

    found = get_scan(scanner.database, begun.id, whose=None)
    assert [item.name for item in every_item(scanner.database, begun.id)] == ["a.png"]
    assert (found.listed, found.matched, found.skipped) == (7, 1, 0)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("._*", ["._a.png"]),
        (".ds_store", [".DS_Store"]),
        ("__MACOSX/*", ["b.png"]),
        ("*.png", ["a.png"]),
        ("?_a.png", []),
    ],
)
def test_whoever_names_it_in_the_pattern_gets_it(
    scanner: Scanner, settings: Settings, pattern: str, names: list[str]
) -> None:
    fill(settings, "a.png", ".DS_Store", "._a.png", "__MACOSX/b.png")
    begun = begin(scanner, pattern=pattern)

    scanner.scan_next()

    assert [item.name for item in every_item(scanner.database, begun.id)] == names
