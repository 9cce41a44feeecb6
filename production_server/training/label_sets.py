"""A set of labels of the service's database as images on disk, which a training reads as it reads all others."""

from __future__ import annotations

import csv
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from production_server.errors import CeleriacError
from production_server.labels.labelled import inputs_of, suffix_of
from production_server.labels.sets import LabelSet, check_is_whole, get_set, labels_of_set
from production_server.models.manifest import Dataset
from production_server.storage.objects import Reference
from production_server.storage.storage import Storage
from production_server.training.datasets import cache_directory
from production_server.training.errors import DataError
from production_server.training.service_database import service_database

if TYPE_CHECKING:
    from collections.abc import Mapping

    from production_server.jobs.database import Database
    from production_server.settings import Settings
    from production_server.training.description import Description
    from production_server.training.progress import Reporter

PREFIX = "labels:"
TABLE = "labels.csv"


@dataclass(frozen=True)
class LabelData:
    """Where the images of a set lie, and which set it is."""

    table: Path
    """A CSV with the columns path and label."""
    found: LabelSet

    def told_in(self, description: Description) -> Description:
        """What the manifest says of a model that was trained on it: the set, with its digest."""
        called = f"{PREFIX}{self.found.name}"
        dataset = Dataset(name=called, url="", sha256=self.found.digest, licence="the user's own")
        data = description.data.replace(TABLE, called)
        return replace(description, data=data, training_data=(dataset,))


def obtain(name: str, reporter: Reporter, *, environment: Mapping[str, str] = os.environ) -> LabelData:
    """Write the images of a set into the cache, unless they are there, and check its digest.

    The database is the service's, as its settings name it (STATE_DIR, DATABASE_URL).

    Raises:
        DataError: there is no such set, it is not what it was, or it is no set of images.
        SettingsError: the environment holds values that cannot be used.
    """
    with service_database(environment) as (database, settings):
        found = get_set(database, name, whose=None)
        check_is_whole(database, found)
        folder = cache_directory(environment) / "labels" / found.digest
        if not (folder / TABLE).is_file():
            reporter.say(f"reading {found.items} labelled inputs of {PREFIX}{name}")
            _write(database, found, folder, settings)
    return LabelData(folder / TABLE, found)


def _write(database: Database, found: LabelSet, folder: Path, settings: Settings) -> None:
    """The table comes last: without it the folder is not whole, and is written anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    labels = {each.item: each.label for each in labels_of_set(database, found)}
    storage = Storage(settings.storage_allow)
    rows: list[tuple[str, str]] = []
    try:
        for which, stored in inputs_of(database, list(labels)):
            data = _fetch(storage, stored, settings) if isinstance(stored, Reference) else stored
            suffix = suffix_of(data)
            if suffix is None:
                raise DataError(
                    f"{PREFIX}{found.name}: expected images, got labels of {found.model}, which has none"
                )
            name = f"{len(rows):06}.{suffix}"
            (folder / name).write_bytes(data)
            rows.append((name, labels[which]))
    finally:
        storage.close()
    part = folder / f"{TABLE}.part"
    with part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    part.rename(folder / TABLE)


def _fetch(storage: Storage, reference: Reference, settings: Settings) -> bytes:
    try:
        return storage.fetch(reference, max_bytes=settings.max_object_bytes)
    except CeleriacError as exc:
        raise DataError(f"{reference.url}: {exc}") from exc
