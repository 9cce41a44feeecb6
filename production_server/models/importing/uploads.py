"""Files that clients have sent, beside the versions that they are to become: whoever sees the one sees the other."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal, Self, get_args
from uuid import UUID

from production_server.errors import ObjectUnusable, StorageUnavailable, StoreNotWritable
from production_server.models.drafts import hidden_folder
from production_server.models.remote_store import UPLOADS, RemoteStore, remote_store_of
from production_server.models.store_folders import told
from production_server.settings import Settings

FOLDER = UPLOADS
_KEPT_S = 3600.0
"""So long files may lie there before anybody knows of their import."""
_AT_ONCE_BYTES = 2**20
_LONGEST_NAME = 120
Part = Literal["model", "weights", "sample"]


class Uploads:
    """The files of imports in one store. Safe to share between threads and processes.

    Of a store in a bucket they lie there as well, so that workers of other machines have them.
    """

    def __init__(self, store: Path, remote: RemoteStore | None = None) -> None:
        self._folder = store / FOLDER
        self._remote = remote

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Those of the store that these settings name."""
        return cls(settings.model_stores[-1], remote_store_of(settings))

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
        if self._remote is not None:
            self._remote.send_upload(import_id, path, f"{part}/{path.name}")
        return path

    def bring(self, import_id: UUID) -> None:
        """Have an import's files here, if they are in the bucket and not here yet; does nothing for a folder.

        Raises:
            StoreNotWritable: the disk, or the bucket, refuses them.
        """
        if self._remote is None or self.folder_of(import_id).exists():
            return
        try:
            files = self._remote.uploads_of(import_id)
            with hidden_folder(self._folder) as folder:
                for file, entry in files.items():
                    self._bring_file(self._remote, import_id, file, folder, entry.size_bytes)
                if files:
                    with told(self._folder):
                        folder.rename(self.folder_of(import_id))
        except (ObjectUnusable, StorageUnavailable) as exc:
            raise StoreNotWritable(
                f"the file that was sent cannot be had from the model store: {exc}"
            ) from exc

    def find(self, import_id: UUID, part: Part) -> Path | None:
        """Where that file lies; None: it is not there."""
        return next((self.folder_of(import_id) / part).glob("*"), None)

    def remove(self, import_id: UUID) -> None:
        """Let go of an import's files; does nothing where there are none."""
        shutil.rmtree(self.folder_of(import_id), ignore_errors=True)
        if self._remote is not None:
            # What stays now is swept later.
            with suppress(ObjectUnusable, StorageUnavailable):
                self._remote.remove_uploads(import_id)

    def sweep(self, needed: Collection[UUID]) -> None:
        """Remove what belongs to no import that is `needed`: whoever was to do that has died."""
        names = {str(import_id) for import_id in needed}
        for folder in self._folder.glob("*"):
            if folder.name not in names and _age_s(folder) > _KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)
        if self._remote is not None:
            with suppress(ObjectUnusable, StorageUnavailable):
                for name in self._remote.uploaded() - names:
                    import_id = _id_of(name)
                    if import_id is not None and _age_of_id_s(import_id) > _KEPT_S:
                        self._remote.remove_uploads(import_id)

    @staticmethod
    def _bring_file(remote: RemoteStore, import_id: UUID, file: str, folder: Path, size_bytes: int) -> None:
        part, _, name = file.partition("/")
        # Only what `keep` can have sent: whatever else somebody has put there leads nowhere.
        if part not in get_args(Part) or name != _safe(name):
            return
        with told(folder):
            (folder / part).mkdir(exist_ok=True)
            remote.download_upload(import_id, file, folder / part / name, size_bytes=size_bytes)


def _safe(name: str) -> str:
    """Letters, digits and a few signs; not hidden, and of a length that every file system takes."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return re.sub(r"[^\w.()+@-]", "_", last, flags=re.ASCII).lstrip(".")[-_LONGEST_NAME:] or "file"


def _id_of(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def _age_of_id_s(import_id: UUID) -> float:
    """Ids of imports begin with the time, in ms, at which they were given."""
    return time.time() - (import_id.int >> 80) / 1000


def _age_s(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0
