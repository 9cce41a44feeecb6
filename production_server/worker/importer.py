"""Makes versions of the files that clients have sent: one at a time in each worker, in a process of its own."""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from production_server.access.audit import Act, Notes, noting
from production_server.access.records import Actor
from production_server.errors import (
    MISTAKE,
    CeleriacError,
    ImportFailed,
    ImportStopped,
    StorageUnavailable,
    Unavailable,
)
from production_server.jobs.database import Database
from production_server.jobs.imports import (
    Ended,
    ImportClaim,
    claim_import,
    end_import,
    open_imports,
    put_import_back,
    renew_import,
)
from production_server.learning.imports import Destination, import_through_gate
from production_server.learning.published import published_by
from production_server.learning.report import Report, read_report
from production_server.learning.sent import Sent
from production_server.models.drafts import sweep_drafts
from production_server.models.importing.formats import NEEDS_TENSORFLOW, check_weights, format_of
from production_server.models.importing.process import Asked
from production_server.models.importing.uploads import Uploads
from production_server.models.importing.version import Made
from production_server.models.manifest import Manifest
from production_server.serving.overview import Overview
from production_server.settings import Settings
from production_server.storage.storage import Storage
from production_server.work_in_hand import working_on
from production_server.worker.import_files import ImportFiles

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from production_server.jobs.records import Importable

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
SWEEP_EVERY_S = 600.0
MOST_TRIES = 3
"""A file that so many processes have died of, or that none of them could find, becomes no version."""
MISSING_PAUSE_S = 5.0
AWAY_PAUSE_S = 30.0
"""After a store that a file is to be fetched from has not answered."""
RETRY_S = 2.0


@dataclass(slots=True)
class Importer:
    """Takes imports, one after the other. Every worker has one; files of TensorFlow wait for a worker that has it."""

    database: Database
    overview: Overview
    settings: Settings
    storage: Storage
    stopping: threading.Event = field(default_factory=threading.Event)
    _uploads: Uploads = field(init=False)
    _files: ImportFiles = field(init=False)
    _in_hand: tuple[ImportClaim, threading.Event] | None = None
    _said: str = ""
    _swept_at: float = 0.0

    def __post_init__(self) -> None:
        self._uploads = Uploads.of(self.settings)
        self._files = ImportFiles(self._uploads, self.storage, self.settings.import_file_bytes)

    @property
    def takes(self) -> Importable:
        """Which files can be read here."""
        return "all" if self._has_tensorflow else "onnx"

    def look(self) -> bool:
        """Make a version of the next file, if there is one; whether there may be more at once.

        Raises:
            Unavailable: the database does not answer.
        """
        if time.monotonic() - self._swept_at > SWEEP_EVERY_S:
            self._uploads.sweep(open_imports(self.database))
            sweep_drafts(self.settings.model_stores[-1])
            self._swept_at = time.monotonic()
        held = claim_import(self.database, lease_s=self.settings.lease_s, has_tensorflow=self._has_tensorflow)
        if held is None:
            return False
        with working_on(job=str(held.found.id)):
            self._make(held)
        return True

    def renew_lease(self) -> None:
        """Keep the import in hand, and tell how far it is; one that was cancelled meanwhile is ended.

        Raises:
            Unavailable: the database does not answer.
        """
        in_hand = self._in_hand
        if in_hand is None:
            return
        held, ends = in_hand
        if not renew_import(self.database, held, self._said, lease_s=self.settings.lease_s):
            ends.set()

    def close(self) -> None:
        """End the import in hand, which another process begins anew; `stopping` is set."""
        if self._in_hand is not None:
            self._in_hand[1].set()

    @property
    def _has_tensorflow(self) -> bool:
        return self.settings.import_python is not None or importlib.util.find_spec("tensorflow") is not None

    def _make(self, held: ImportClaim) -> None:
        ends, reports = threading.Event(), list[Report]()
        self._said, self._in_hand = "", (held, ends)
        try:
            made = self._published_before(held, reports) or self._version_of(held, ends, reports)
        except ImportStopped:
            # Cancelled, or this process stops: then another one begins anew.
            put_import_back(self.database, held, after_s=0, counts=False)
        except Unavailable:
            raise
        except CeleriacError as exc:
            log.warning("import %s of %s: %s", held.found.id, held.found.file, exc.with_place)
            if isinstance(exc, StorageUnavailable) and held.found.tries < MOST_TRIES:
                put_import_back(self.database, held, after_s=AWAY_PAUSE_S, counts=True)
                return
            self._end(held, Ended(error=exc, report=_plain(reports)))
        except Exception:
            log.exception("import %s of %s failed", held.found.id, held.found.file)
            self._end(held, Ended(error=CeleriacError(MISTAKE)))
        else:
            if made is not None:
                manifest = made.manifest.model_dump(mode="json")
                ended = Ended(notes=made.notes, manifest=manifest, report=_plain(reports))
                self._end(held, ended, published=made.manifest if made.folder is not None else None)
        finally:
            self._in_hand = None

    def _published_before(self, held: ImportClaim, reports: list[Report]) -> Made | None:
        """What a worker has made of it that died before it could tell."""
        found = held.found
        if found.tries == 1:
            return None
        made = published_by(found.id, found.model, self.overview.registry, self.settings)
        if made is not None and made.folder is not None and (report := read_report(made.folder)):
            reports.append(report)
        return made

    def _version_of(self, held: ImportClaim, ends: threading.Event, reports: list[Report]) -> Made | None:
        """The version; None: its files are not here, and somebody else is to look for them."""
        found = held.found
        if found.tries > MOST_TRIES:
            raise ImportFailed(f"{MOST_TRIES} workers have tried it and did not come to an end")
        sent = Sent.model_validate(found.asked)
        self._uploads.bring(found.id)
        self._files.fetch(found.id, sent.urls, self._say, ends)
        file = self._uploads.find(found.id, "model")
        if file is None:
            if found.tries == MOST_TRIES:
                raise ImportFailed(
                    "no worker has the file: MODEL_STORE has to be one folder for all processes"
                )
            put_import_back(self.database, held, after_s=MISSING_PAUSE_S, counts=True)
            return None
        weights = self._uploads.find(found.id, "weights")
        if sent.urls and not self._can_read(file, weights):
            put_import_back(self.database, held, after_s=0, counts=False, needs_tensorflow=True)
            return None
        asked = Asked(
            name=found.model,
            file=file,
            weights=weights,
            sample=self._uploads.find(found.id, "sample"),
            described=sent.described,
            signature=sent.signature,
            import_id=found.id,
        )
        above = self.overview.highest_told(found.model)
        admitted = import_through_gate(
            asked,
            Destination(settings=self.settings, registry=self.overview.registry, above=above),
            self._say,
            allowed=sent.allowed,
            is_dry_run=sent.dry_run,
            report_to=reports.append,
            stopping=ends,
        )
        return admitted.made

    def _can_read(self, file: Path, weights: Path | None) -> bool:
        """Whether a file that was fetched can be read here: it says itself what it is.

        Raises:
            InvalidInput: it is no model, or has weights that do not belong to it.
        """
        kind = format_of(file)
        check_weights(kind, None if weights is None else weights.name)
        return kind not in NEEDS_TENSORFLOW or self._has_tensorflow

    def _say(self, text: str) -> None:
        self._said = text

    def _end(self, held: ImportClaim, ended: Ended, *, published: Manifest | None = None) -> None:
        while True:
            try:
                with noting(Actor(**held.found.actor)) as notes:
                    told = None if published is None else partial(_write_line, notes, published)
                    end_import(self.database, held, ended, told=told)
            except Unavailable as exc:
                # The version is there: begun anew, there would be two.
                log.warning(
                    "import %s is done; it is told when the database answers: %s",
                    held.found.id,
                    exc.with_place,
                )
                if self.stopping.wait(RETRY_S):
                    raise
            else:
                break
        self._uploads.remove(held.found.id)


def _write_line(notes: Notes, manifest: Manifest, connection: Connection) -> None:
    source = manifest.source
    after = {} if source is None else {"file": source.file, "sha256": source.sha256}
    notes.write(connection, Act.VERSION_IMPORTED, f"{manifest.name}/{manifest.version}", after=after)


def _plain(reports: list[Report]) -> dict[str, Any] | None:
    return reports[-1].model_dump(mode="json") if reports else None
