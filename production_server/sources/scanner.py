"""Lists what scans ask for, page by page: each page becomes items in one transaction, which workers then fetch."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from production_server.errors import MISTAKE, CeleriacError, StorageUnavailable, Unavailable
from production_server.intake.intake import Intake
from production_server.jobs.clock import LONGEST_PAUSE_S
from production_server.jobs.database import Database
from production_server.jobs.scans import Listed, ScanClaim, claim_scan, end_scan, fail_for_now, put_back
from production_server.settings import Settings
from production_server.sources.junk import is_junk
from production_server.storage.lately import Lately, Shares
from production_server.storage.locations import Location
from production_server.storage.objects import Page, Reference
from production_server.storage.storage import Storage
from production_server.work_in_hand import working_on

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2
"""A look that finds nothing costs a third of a millisecond; a scan should not wait longer for it than people notice."""
SCANS = 4
"""So many scans are gone on with at once, each of another bucket: one of folders, two of buckets that do not answer."""
FIRST_PAUSE_S = 5.0
"""A store that does not answer is asked again after this, later each time; what was listed is not listed again."""
MISTAKES = 5
"""A scan that fails so often in a row for a reason that nobody foresaw has failed."""


@dataclass(slots=True)
class Scanner:
    """Goes on with scans, one of each bucket. Every worker has a scanner; a scan is in the hands of one of them."""

    database: Database
    storage: Storage
    intake: Intake
    settings: Settings
    stopping: threading.Event = field(default_factory=threading.Event)
    _hands: ThreadPoolExecutor = field(init=False)
    _busy: set[str] = field(default_factory=set)
    _lately: Lately = field(default_factory=Lately)
    _taking: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._hands = ThreadPoolExecutor(SCANS, thread_name_prefix="scanner")

    def look(self) -> bool:
        """Go on with scans in threads, as long as some are free; then there is never more to do at once.

        Raises:
            Unavailable: the database does not answer.
        """
        while (held := self._take()) is not None:
            self._hands.submit(self._scan, held)
        return False

    def scan_next(self) -> bool:
        """Go on with a scan until it is listed or lost, or `stopping` is set; False if there is none."""
        held = self._take()
        if held is None:
            return False
        self._scan(held)
        return True

    def close(self) -> None:
        """End the threads; `stopping` is set, and the storage closed."""
        self._hands.shutdown(cancel_futures=True)

    def _take(self) -> ScanClaim | None:
        with self._taking:
            if self.stopping.is_set():
                return None
            held = claim_scan(
                self.database,
                lease_s=self.settings.lease_s,
                without=self._busy,
                only=Shares.of(SCANS).allowed(self._busy, self._lately.buckets()),
            )
            if held is not None:
                self._busy.add(_bucket_of(held))
            return held

    def _scan(self, held: ScanClaim) -> None:
        try:
            with working_on(job=str(held.scan.id)):
                self._go_on(held)
        except Unavailable as exc:
            # It is gone on with when its lease has run out.
            log.warning("scan %s: %s", held.scan.id, exc)
        finally:
            with self._taking:
                self._busy.discard(_bucket_of(held))

    def _go_on(self, held: ScanClaim) -> None:
        try:
            is_listed = self._list(held)
        except Unavailable:
            raise
        except StorageUnavailable as exc:
            self._try_again(held, exc)
        except CeleriacError as exc:
            log.error("scan %s: %s", held.scan.id, exc)
            end_scan(self.database, held, error=exc)
        except Exception:
            log.exception("scan %s failed", held.scan.id)
            self._try_again(held, CeleriacError(MISTAKE), limit=MISTAKES)
        else:
            if is_listed:
                end_scan(self.database, held)
            elif self.stopping.is_set():
                put_back(self.database, held)

    def _try_again(self, held: ScanClaim, error: CeleriacError, *, limit: int | None = None) -> None:
        """Let somebody go on later, and say meanwhile why; after so many tries in vain the scan has failed."""
        tries = held.scan.vain_tries
        with self._taking:
            self._lately.forget(_bucket_of(held))
        if self.stopping.is_set():
            put_back(self.database, held)
        elif limit is not None and tries + 1 >= limit:
            end_scan(self.database, held, error=error)
        else:
            log.warning("scan %s: %s; trying on", held.scan.id, error)
            pause_s = min(FIRST_PAUSE_S * 2 ** min(tries, 10), LONGEST_PAUSE_S)
            fail_for_now(self.database, held, error=error, after_s=pause_s)

    def _list(self, held: ScanClaim) -> bool:
        """Whether the listing is complete; if not, somebody else has it, or this process stops."""
        location = Location.parse(held.scan.url)
        for page in self.storage.pages(location, cursor=held.scan.cursor):
            with self._taking:
                self._lately.note(location.bucket_url)
            matching = tuple(_matching(page, location, held.scan.pattern))
            is_mine = self.intake.add_page(held, Listed(len(page.references), matching, page.cursor))
            if not is_mine or self.stopping.is_set():
                return False
        return True


def matches(pattern: str, location: Location, url: str) -> bool:
    """Whether a pattern, such as `*.jpg` or `2026/*.png`, matches an object at a location, regardless of case.

    A pattern with a slash is held against the key behind the location's, one without against the last part of the key.
    """
    key = url.removeprefix(location.url).lstrip("/") if "/" in pattern else url.rpartition("/")[2]
    return fnmatchcase(key.lower(), pattern.lower())


def _matching(page: Page, location: Location, pattern: str) -> Iterator[Reference]:
    for reference in page.references:
        is_folder = location.scheme == "file" and reference.url.endswith("/")
        is_match = matches(pattern, location, reference.url)
        if is_match and is_junk(reference.url.removeprefix(location.url), pattern=pattern):
            continue
        # A folder that cannot be read is told of whatever it is called: nobody knows what lies in it.
        if is_match or is_folder:
            yield reference


def _bucket_of(held: ScanClaim) -> str:
    return Location.parse(held.scan.url).bucket_url
