"""Accepting a file that is to become a version: once it lies beside the versions, it is stored that one is wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple
from uuid import UUID

from production_server.access.records import Actor
from production_server.jobs.database import Database
from production_server.jobs.imports import ModelImport, NewImport, add_import, cancel_import, new_import_id
from production_server.learning.report import CheckName
from production_server.learning.sent import Sent
from production_server.models.importing.described import Described
from production_server.models.importing.formats import NEEDS_TENSORFLOW, check_weights, format_of
from production_server.models.importing.said import checked_name
from production_server.models.importing.uploads import Uploads
from production_server.settings import Settings


class SentFile(NamedTuple):
    """What its sender calls a file, and what is in it."""

    name: str
    content: IO[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFiles:
    """What came with a request."""

    model: SentFile
    weights: SentFile | None = None
    sample: SentFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to become of them."""

    model: str
    described: Described
    signature: str | None = None
    allowed: tuple[CheckName, ...] = ()
    """Checks of the gate that it may fail."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ImportIntake:
    """Stores imports, and takes them back. Safe to share between threads."""

    settings: Settings
    database: Database

    def accept(self, wish: Wish, files: SentFiles, *, by: Actor) -> ModelImport:
        """Keep the files, and store that a version is to be made of them.

        Raises:
            InvalidInput: a model cannot be called so, or the file is none of a model; whatever else is wrong with it is
                found by the worker.
            StoreNotWritable: the files find no place. Unavailable: the database does not answer.
        """
        name = checked_name(wish.model)
        import_id = new_import_id()
        with self._kept_if_accepted(import_id) as uploads:
            kind = format_of(uploads.keep(import_id, "model", *files.model))
            check_weights(kind, None if files.weights is None else files.weights.name)
            if files.weights is not None:
                uploads.keep(import_id, "weights", *files.weights)
            if files.sample is not None:
                uploads.keep(import_id, "sample", *files.sample)
            sent = Sent(
                described=wish.described,
                signature=wish.signature,
                allowed=wish.allowed,
                dry_run=wish.dry_run,
            )
            new = NewImport(
                client=by.client,
                model=name,
                file=files.model.name,
                asked=sent.model_dump(mode="json", exclude_defaults=True),
                actor=by.to_json(),
                needs_tensorflow=kind in NEEDS_TENSORFLOW,
            )
            return add_import(self.database, import_id, new)

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
