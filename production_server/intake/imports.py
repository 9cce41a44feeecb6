"""Accepting a file that is to become a version: once it lies beside the versions, it is stored that one is wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from production_server.access.records import Actor
from production_server.errors import InvalidInput
from production_server.jobs.database import Database
from production_server.jobs.imports import ModelImport, NewImport, add_import, cancel_import, new_import_id
from production_server.learning.report import CheckName
from production_server.learning.sent import Sent
from production_server.models.importing.described import Described
from production_server.models.importing.formats import NEEDS_TENSORFLOW, check_weights, format_of
from production_server.models.importing.said import checked_name
from production_server.models.importing.uploads import IncomingFiles, Part, Uploads
from production_server.settings import Settings
from production_server.storage.locations import AllowedLocations, Location

URL_FIELDS: Mapping[Part, str] = {"model": "url", "weights": "weights_url", "sample": "sample_url"}
"""What clients call the place of each file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to become of them."""

    model: str
    described: Described
    urls: Mapping[Part, str] = field(default_factory=dict)
    """Where those files lie that do not come with the request."""
    signature: str | None = None
    allowed: tuple[CheckName, ...] = ()
    """Checks of the gate that it may fail."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ImportIntake:
    """Stores imports, and takes them back. Safe to share between threads."""

    settings: Settings
    database: Database

    def incoming(self) -> IncomingFiles:
        """A place for the files of an import; it is closed when they are accepted, or not."""
        return self._uploads.incoming(most_bytes=self.settings.import_file_bytes)

    def accept(self, wish: Wish, files: IncomingFiles, *, by: Actor) -> ModelImport:
        """Keep the files, and store that a version is to be made of them.

        Raises:
            InvalidInput: a model cannot be called so, or there is no file of one; whatever else is wrong with it is
                found by the worker.
            StoreNotWritable: the files find no place. Unavailable: the database does not answer.
        """
        name, kind = checked_name(wish.model), None
        file = files.find("model")
        self._check_urls(wish.urls, files)
        if file is not None:
            kind = format_of(file)
            check_weights(kind, files.names.get("weights") or wish.urls.get("weights"))
        sent = Sent(
            described=wish.described,
            urls=dict(wish.urls),
            signature=wish.signature,
            allowed=wish.allowed,
            dry_run=wish.dry_run,
        )
        new = NewImport(
            client=by.client,
            model=name,
            file=files.names.get("model") or Location.parse(wish.urls["model"]).name,
            asked=sent.model_dump(mode="json", exclude_defaults=True),
            actor=by.to_json(),
            # Of what is yet to be fetched, whoever fetches it finds that out.
            needs_tensorflow=kind in NEEDS_TENSORFLOW,
        )
        import_id = new_import_id()
        with self._kept_if_accepted(import_id) as uploads:
            uploads.keep(import_id, files)
            return add_import(self.database, import_id, new)

    def _check_urls(self, urls: Mapping[Part, str], files: IncomingFiles) -> None:
        allowed = AllowedLocations(self.settings.storage_allow)
        for part, url in urls.items():
            name = URL_FIELDS[part]
            if part in files.names:
                raise InvalidInput.at(name, "a file, or where it lies", "both")
            allowed.containing(Location.parse(url, field=name), field=name)
        if "model" not in files.names and "model" not in urls:
            raise InvalidInput.at("file", "the file of a model, or url: where it lies", "none")

    def cancel(self, import_id: UUID, *, whose: str | None) -> ModelImport:
        """Have a file become no version; one that is over stays as it is.

        Raises:
            NotFound: a client of that name has no such import; None: nobody has. Conflict: it is a version by now.
            Unavailable: the database does not answer.
        """
        cancelled = cancel_import(self.database, import_id, whose=whose)
        self._uploads.remove(import_id)
        return cancelled

    @property
    def _uploads(self) -> Uploads:
        return Uploads.of(self.settings)

    @contextlib.contextmanager
    def _kept_if_accepted(self, import_id: UUID) -> Iterator[Uploads]:
        try:
            yield self._uploads
        except BaseException:
            self._uploads.remove(import_id)
            raise
