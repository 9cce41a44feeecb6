"""Labels as files: what a training reads, and what it never sees, by which its model is held against what serves."""

from __future__ import annotations

import csv
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from production_server.errors import CeleriacError, Conflict
from production_server.intake.label_files import folder_of
from production_server.jobs.database import Database
from production_server.labels.labelled import digest_of, inputs_of, suffix_of
from production_server.labels.records import ItemId
from production_server.labels.sets import LabelSet, labels_of_set
from production_server.models.tasks.task import Task
from production_server.retraining.held_out import is_held_out
from production_server.storage.objects import Reference
from production_server.storage.storage import Storage

TABLE = "labels.csv"
LABEL = "label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Where the labels of a set lie."""

    folder: Path
    """Of rows a table `labels.csv` of features and `label`; of images one of `path` and `label`, and their files, in a
    folder for each label."""
    held_out: Path | None
    """A table, or a zip with a folder for each label; None: too few labels, so that nothing is held out."""
    labels: int
    held_out_labels: int


def write_dataset(
    database: Database,
    storage: Storage,
    found: LabelSet,
    task: Task,
    into: Path,
    *,
    max_bytes: int,
) -> Dataset:
    """Write a set of labels into a folder, which is made anew.

    Raises:
        Conflict: all of its items were deleted meanwhile (code `training_over`).
        StorageUnavailable: a bucket does not answer. Unavailable: the database does not answer.
    """
    shutil.rmtree(into, ignore_errors=True)
    (into / "data").mkdir(parents=True)
    labels = {each.item: each.label for each in labels_of_set(database, found)}
    writing = _Rows if task.inputs.columns() else _Pictures
    seen, hidden = writing(into / "data", task), writing(into / "held_out", task)
    for which, stored in inputs_of(database, list(labels)):
        data = _fetched(storage, stored, max_bytes) if isinstance(stored, Reference) else stored
        if data is not None:
            (hidden if is_held_out(digest_of(stored)) else seen).add(which, data, labels[which])
    if not seen.count:
        raise Conflict(f"no labelled input of {found.model} is left to train on", code="training_over")
    seen.close()
    return Dataset(
        folder=into / "data",
        held_out=hidden.sample() if hidden.count else None,
        labels=seen.count + hidden.count,
        held_out_labels=hidden.count,
    )


def _fetched(storage: Storage, reference: Reference, max_bytes: int) -> bytes | None:
    """What lies in a bucket; None: it is gone, or is not what it was."""
    try:
        return storage.fetch(reference, max_bytes=max_bytes)
    except CeleriacError as exc:
        if exc.is_retryable:
            raise
        return None


class _Rows:
    """A table of numbers and what is true of them."""

    def __init__(self, folder: Path, task: Task) -> None:
        self._path = folder / TABLE
        self._task = task
        self._rows: list[list[object]] = []

    @property
    def count(self) -> int:
        return len(self._rows)

    def add(self, _which: ItemId, data: bytes, label: str) -> None:
        self._rows.append([*self._task.inputs.cells(data), label])

    def close(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([[*self._task.inputs.columns(), LABEL], *self._rows])

    def sample(self) -> Path:
        """The table, closed."""
        self.close()
        return self._path


class _Pictures:
    """Files in folders, and a table of them."""

    def __init__(self, folder: Path, _task: Task) -> None:
        self._folder = folder
        self._rows: list[tuple[str, str]] = []

    @property
    def count(self) -> int:
        return len(self._rows)

    def add(self, which: ItemId, data: bytes, label: str) -> None:
        place = f"{folder_of(label)}/{which.job_id.hex}-{which.idx}.{suffix_of(data) or 'bin'}"
        path = self._folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._rows.append((place, label))

    def close(self) -> None:
        with (self._folder / TABLE).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path", LABEL), *self._rows])

    def sample(self) -> Path:
        """A zip of the folders."""
        archive = self._folder.with_suffix(".zip")
        with zipfile.ZipFile(archive, "w") as written:
            for place, _ in self._rows:
                written.write(self._folder / place, place)
        return archive
