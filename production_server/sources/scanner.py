"""Lists what scans ask for, page by page: each page becomes items in one transaction, then messages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial

from production_server.errors import CeleriacError, StorageUnavailable, Unavailable
from production_server.intake.intake import Intake
from production_server.jobs.database import Database
from production_server.jobs.scans import Listed, ScanClaim, claim_scan, end_scan, put_back
from production_server.settings import Settings
from production_server.storage.locations import Location
from production_server.storage.objects import Page, Reference
from production_server.storage.storage import Storage
from production_server.work_in_hand import working_on

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2
"""A look that finds nothing costs a third of a millisecond; a scan should not wait longer for it than people notice."""
AGAIN_AFTER_S = 5.0
"""A store that does not answer is asked again after this; what was listed is not listed again."""


@dataclass(slots=True)
class Scanner:
    """Goes on with scans, one after the other. Every worker has one; a scan is in the hands of one of them."""

    database: Database
    storage: Storage
    intake: Intake
    settings: Settings
    stopping: threading.Event = field(default_factory=threading.Event)

    def scan_next(self) -> bool:
        """Go on with a scan until it is listed or lost, or `stopping` is set; False if there is none.

        Raises:
            Unavailable: the database does not answer; the scan is gone on with when its lease has run out.
        """
        held = claim_scan(self.database, lease_s=self.settings.lease_s)
        if held is None:
            return False
        with working_on(job=str(held.scan.id)):
            try:
                is_listed = self._list(held)
            except Unavailable:
                raise
            except StorageUnavailable as exc:
                log.warning("scan %s: %s; trying on", held.scan.id, exc)
                put_back(self.database, held, after_s=AGAIN_AFTER_S)
            except CeleriacError as exc:
                log.error("scan %s: %s", held.scan.id, exc)
                end_scan(self.database, held, error=exc)
            else:
                self._end(held, is_listed=is_listed)
        return True

    def _end(self, held: ScanClaim, *, is_listed: bool) -> None:
        if is_listed:
            end_scan(self.database, held)
        elif self.stopping.is_set():
            put_back(self.database, held, after_s=0.0)

    def _list(self, held: ScanClaim) -> bool:
        """Whether the listing is complete; if not, somebody else has it, or this process stops."""
        location = Location.parse(held.scan.url)
        for page in self.storage.pages(location, cursor=held.scan.cursor):
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
    is_match = partial(matches, pattern, location)
    return (reference for reference in page.references if is_match(reference.url))
