"""Files that clients have sent, beside the versions that they are to become: whoever sees the one sees the other."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Collection
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, Literal, Self, get_args
from uuid import UUID

from production_server.errors import ObjectUnusable, StorageUnavailable, StoreNotWritable, TooLarge
from production_server.models.drafts import hidden_folder, sweep_hidden
from production_server.models.remote_store import UPLOADS, RemoteStore, remote_store_of
from production_server.models.store_folders import sync, told
from production_server.settings import Settings

FOLDER = UPLOADS
_KEPT_S = 3600.0
"""So long files may lie there before anybody knows of their import."""
_LONGEST_NAME = 120
Part = Literal["model", "weights", "sample"]


class IncomingFiles:
    """Files on their way into a store. They lie in a hidden folder of it, which goes with `close`, or with its process.

    For one thread at a time.
    """

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        """`folder` is that of all imports; none of the files may have more than `most_bytes`."""
        self._folder = folder
        self.most_bytes = most_bytes
        self._around = ExitStack()
        self._draft: Path | None = None
        self.names: dict[Part, str] = {}
        """What the senders of those that have begun call them."""

    def open(self, part: Part, name: str, *, field: str) -> IncomingFile:
        """Begin one file, which whoever writes it closes; faults call it `field`.

        Raises:
            StoreNotWritable: the store is full, or cannot be written.
        """
        if self._draft is None:
            self._draft = self._around.enter_context(hidden_folder(self._folder))
        path = self._draft / part / _safe(name)
        with told(path):
            path.parent.mkdir()
            file = IncomingFile(path, most_bytes=self.most_bytes, field=field)
        self.names[part] = name
        return file

    def find(self, part: Part) -> Path | None:
        """Where that file lies; None: there is none."""
        return None if self._draft is None else _found(self._draft, part)

    def move(self, target: Path) -> None:
        """Have all of it on the disk, and give the folder its name, or put the files into the one that has it.

        Raises:
            StoreNotWritable: the store is full, or cannot be written.
        """
        if self._draft is None:
            return
        with told(target):
            for path in (*self._draft.rglob("*"), self._draft):
                sync(path)
            if target.exists():
                for part in self._draft.iterdir():
                    part.rename(target / part.name)
                sync(target)
            else:
                self._draft.rename(target)
                sync(target.parent)

    def close(self) -> None:
        """Remove what is still there."""
        self._around.close()
        self._draft = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.close()


class IncomingFile:
    """One file that is being written, up to so many bytes."""

    def __init__(self, path: Path, *, most_bytes: int, field: str) -> None:
        self.path = path
        self._left = self._most = most_bytes
        self._field = field
        self._file: BinaryIO = path.open("xb", buffering=0)

    def write(self, data: bytes) -> int:
        """Write all of it.

        Raises:
            TooLarge: there is more than may come. StoreNotWritable: the store is full, or cannot be written.
        """
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge.at(self._field, f"at most {self._most:,} bytes (IMPORT_FILE_BYTES)", "more")
        rest = memoryview(data)
        with told(self.path.parent):
            while rest:
                rest = rest[self._file.write(rest) :]
        return len(data)

    def close(self) -> None:
        """There is no more of it."""
        self._file.close()


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

    def incoming(self, *, most_bytes: int) -> IncomingFiles:
        """A place for the files of an import that is yet to be stored; nothing is written before the first of them."""
        return IncomingFiles(self._folder, most_bytes=most_bytes)

    def keep(self, import_id: UUID, files: IncomingFiles) -> None:
        """Make what came the files of an import, and bring them to the disk.

        Raises:
            StoreNotWritable: the store is full, or cannot be written.
        """
        folder = self.folder_of(import_id)
        files.move(folder)
        if self._remote is not None:
            for path in (found for part in files.names if (found := self.find(import_id, part))):
                self._remote.send_upload(import_id, path, f"{path.parent.name}/{path.name}")

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
        return _found(self.folder_of(import_id), part)

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
        with suppress(OSError):
            sweep_hidden(self._folder)
        for folder in self._folder.glob("[!.]*"):
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


def _found(folder: Path, part: Part) -> Path | None:
    return next((folder / part).glob("*"), None)


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
