"""The files of imports that lie elsewhere: fetched beside those that were sent, each once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from production_server.errors import ImportStopped
from production_server.intake.imports import URL_FIELDS
from production_server.models.importing.uploads import IncomingFiles, Part, Uploads
from production_server.storage.locations import Location
from production_server.storage.storage import Storage

_MB = 10**6


@dataclass(frozen=True, slots=True)
class ImportFiles:
    """Fetches files of imports. Blocks; safe to share between threads."""

    uploads: Uploads
    storage: Storage
    most_bytes: int
    """The largest file."""

    def fetch(
        self, import_id: UUID, urls: Mapping[Part, str], say: Callable[[str], None], stopping: threading.Event
    ) -> None:
        """Have those files of an import here that are not yet; all of them or none.

        Raises:
            InvalidInput: a place is not allowed here, or names a folder.
            ObjectUnusable: a file is not there, or too large. StorageUnavailable: its store does not answer.
            StoreNotWritable: there is no room for it. ImportStopped: `stopping` was set.
        """
        missing = {part: url for part, url in urls.items() if self.uploads.find(import_id, part) is None}
        with self.uploads.incoming(most_bytes=self.most_bytes) as files:
            for part, url in missing.items():
                fetch_file(self.storage, files, part, url, say, stopping)
            if missing:
                self.uploads.keep(import_id, files)


def fetch_file(
    storage: Storage,
    files: IncomingFiles,
    part: Part,
    url: str,
    say: Callable[[str], None],
    stopping: threading.Event | None = None,
) -> Path:
    """Have one file of an import among those that come; blocks, and returns where it lies.

    Raises:
        CeleriacError: as `ImportFiles.fetch`.
    """
    field = URL_FIELDS[part]
    location = Location.parse(url, field=field)
    storage.check(location, field=field)
    found = storage.find(location, field=field)
    came_bytes = 0
    with contextlib.closing(files.open(part, location.name, field=field)) as file:
        say(f"Fetching {url}")
        for piece in storage.pieces(found, max_bytes=files.most_bytes):
            if stopping is not None and stopping.is_set():
                raise ImportStopped("nobody waits for it any more")
            file.write(piece)
            came_bytes += len(piece)
            say(f"Fetching {url}: {came_bytes // _MB:,} of {found.size_bytes // _MB:,} MB")
    return file.path
