"""Files that clients have sent, beside the versions that they are to become: whoever sees the one sees the other."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Collection
from pathlib import Path
from typing import IO, Literal
from uuid import UUID

from production_server.models.store_folders import told

FOLDER = ".imports"
_KEPT_S = 3600.0
"""So long files may lie there before anybody knows of their import."""
_AT_ONCE_BYTES = 2**20
_LONGEST_NAME = 120
Part = Literal["model", "weights", "sample"]


class Uploads:
    """The files of imports in one store. Safe to share between threads and processes."""

    def __init__(self, store: Path) -> None:
        self._folder = store / FOLDER

    def folder_of(self, import_id: UUID) -> Path:
        """Where the files of an import lie, if they do."""
        return self._folder / str(import_id)

    def keep(self, import_id: UUID, part: Part, name: str, content: IO[bytes]) -> Path:
        """Write one file of an import, under a name that is like what its sender calls it, and bring it to the disk.

        Raises:
            StoreNotWritable: the store is full, or cannot be written.
        """
        path = self.folder_of(import_id) / part / _safe(name)
        with told(path.parent):
            path.parent.mkdir(parents=True)
            with path.open("xb") as file:
                shutil.copyfileobj(content, file, _AT_ONCE_BYTES)
                file.flush()
                os.fsync(file.fileno())
        return path

    def find(self, import_id: UUID, part: Part) -> Path | None:
        """Where that file lies; None: it is not there."""
        return next((self.folder_of(import_id) / part).glob("*"), None)

    def remove(self, import_id: UUID) -> None:
        """Let go of an import's files; does nothing where there are none."""
        shutil.rmtree(self.folder_of(import_id), ignore_errors=True)

    def sweep(self, needed: Collection[UUID]) -> None:
        """Remove what belongs to no import that is `needed`: whoever was to do that has died."""
        names = {str(import_id) for import_id in needed}
        for folder in self._folder.glob("*"):
            if folder.name not in names and _age_s(folder) > _KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)


def _safe(name: str) -> str:
    """Letters, digits and a few signs; not hidden, and of a length that every file system takes."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return re.sub(r"[^\w.()+@-]", "_", last, flags=re.ASCII).lstrip(".")[-_LONGEST_NAME:] or "file"


def _age_s(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0
