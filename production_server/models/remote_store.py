"""A store of models in a bucket: `<model>/<version>/` as on a disk, and how a version gets there and goes.

A number is given to whoever creates its `.claim`, which stays for ever. The manifest is uploaded last and deleted
first: where there is one, there is a whole version.
"""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from production_server.errors import ObjectUnusable, StorageUnavailable, StoreNotWritable
from production_server.models.manifest import MANIFEST_FILE, is_model_name
from production_server.settings import Settings
from production_server.storage.locations import Location
from production_server.storage.remote import Entry
from production_server.storage.writable import BucketFolder

log = logging.getLogger(__name__)

CLAIM = ".claim"
UPLOADS = ".imports"
"""Where files lie that are to become versions; no model can be called so."""
LEFT_AFTER = timedelta(days=1)
"""So long after its claim what has no manifest counts as left behind by somebody who died."""
_MOST_MANIFEST_BYTES = 2**25
_MOST_CLAIM_BYTES = 2**12
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")

Key = tuple[str, str]
"""A model's name and a version's number."""
Listed = Mapping[str, Entry]
"""What lies there of a version, by paths inside it. The paths are whatever somebody has put there."""


class RemoteStore:
    """Blocks; safe to share between threads, and between machines. Its URL is that of MODEL_STORE."""

    def __init__(self, folder: BucketFolder) -> None:
        self._folder = folder
        self.url = folder.url

    def versions(self) -> dict[Key, Listed]:
        """The files of all versions that have a manifest.

        Raises:
            ObjectUnusable, StorageUnavailable: as `BucketFolder`.
        """
        return {key: files for key, files in self._all().items() if MANIFEST_FILE in files}

    def manifest(self, key: Key) -> bytes:
        """A version's manifest as it lies there.

        Raises:
            ObjectUnusable, StorageUnavailable: as `BucketFolder.read`.
        """
        return self._folder.read(_path(key, MANIFEST_FILE), max_bytes=_MOST_MANIFEST_BYTES)

    def download(self, key: Key, file: str, target: Path, *, size_bytes: int) -> None:
        """Write a file of a version to the disk.

        Raises:
            OSError, ObjectUnusable, StorageUnavailable: as `BucketFolder.download`.
        """
        self._folder.download(_path(key, file), target, size_bytes=size_bytes)

    def claim(self, model: str, *, above: int = 0) -> str:
        """A number for a version that is to come, which nobody else has or gets.

        Raises:
            StoreNotWritable: the store does not answer or refuses, or it would give a number twice.
        """
        with self._written():
            used = [int(number) for _, number in self._all(model)]
            number = max([above, *used]) + 1
            while not self._create_claim((model, str(number))):
                number += 1
            # A store that does not know the condition takes everything, from everybody.
            if self._create_claim((model, str(number))):
                raise StoreNotWritable(
                    "the model store does not keep objects from being overwritten (If-None-Match): two versions "
                    "could get one number",
                    place=self.url,
                )
        return str(number)

    def upload(self, folder: Path, key: Key) -> None:
        """Make a folder that is complete the version of a number that was claimed.

        Raises:
            StoreNotWritable: the store does not answer or refuses; then there is no such version.
        """
        with self._written():
            for path in sorted(folder.rglob("*")):
                file = path.relative_to(folder).as_posix()
                if path.is_file() and file != MANIFEST_FILE:
                    self._folder.upload(path, _path(key, file))
            self._complete(key, (folder / MANIFEST_FILE).read_bytes())

    def withdrawn(self, key: Key) -> AbstractContextManager[None]:
        """A block in which there is no such version; an exception brings it back, else its files go after it.

        Its number stays taken. Who is killed in between leaves files, which `sweep` removes. The store is asked now
        whether it answers: in the block others wait for a transaction.

        Raises:
            StoreNotWritable: the store does not answer or refuses; then, or as the block begins, nothing has changed.
        """
        with self._written():
            manifest = self._manifest_if_there(key)
            # Anew: whoever sweeps meanwhile shall leave the files of what may come back.
            self._folder.write(_path(key, CLAIM), _claim())
        return self._without(key, manifest)

    @contextmanager
    def _without(self, key: Key, manifest: bytes | None) -> Iterator[None]:
        with self._written():
            self._folder.delete(_path(key, MANIFEST_FILE))
        try:
            yield
        except BaseException:
            if manifest is not None:
                self._bring_back(key, manifest)
            raise
        try:
            self._remove_files(key, self._all("/".join(key)).get(key, {}))
        except (ObjectUnusable, StorageUnavailable) as exc:
            log.warning("files of a version that was deleted are still there for a day: %s", exc)

    def send_upload(self, import_id: UUID, source: Path, file: str) -> None:
        """Have the file of an import where all machines see it; `file`: its path among the import's files.

        Raises:
            StoreNotWritable: the store does not answer or refuses.
        """
        with self._written():
            self._folder.upload(source, f"{UPLOADS}/{import_id}/{file}")

    def uploads_of(self, import_id: UUID) -> dict[str, Entry]:
        """The files of an import by their paths among them.

        Raises:
            ObjectUnusable, StorageUnavailable: as `BucketFolder`.
        """
        under = f"{UPLOADS}/{import_id}/"
        return {each.key.removeprefix(under): each for each in self._folder.entries(under)}

    def download_upload(self, import_id: UUID, file: str, target: Path, *, size_bytes: int) -> None:
        """Write a file of an import to the disk.

        Raises:
            OSError, ObjectUnusable, StorageUnavailable: as `BucketFolder.download`.
        """
        self._folder.download(f"{UPLOADS}/{import_id}/{file}", target, size_bytes=size_bytes)

    def remove_uploads(self, import_id: UUID) -> None:
        """Let go of an import's files.

        Raises:
            ObjectUnusable, StorageUnavailable: as `BucketFolder`.
        """
        for file in self.uploads_of(import_id):
            self._folder.delete(f"{UPLOADS}/{import_id}/{file}")

    def uploaded(self) -> set[str]:
        """What the folders of all imports that have files are called.

        Raises:
            ObjectUnusable, StorageUnavailable: as `BucketFolder`.
        """
        under = f"{UPLOADS}/"
        return {each.key.removeprefix(under).partition("/")[0] for each in self._folder.entries(under)}

    def sweep(self) -> None:
        """Remove what was left behind: files of numbers that were claimed a day ago and have no manifest.

        Raises:
            ObjectUnusable, StorageUnavailable: as `BucketFolder`.
        """
        for key, files in self._all().items():
            has_more = set(files) - {CLAIM}
            if CLAIM in files and has_more and MANIFEST_FILE not in files and self._is_old(key):
                self._remove_files(key, files)

    def _all(self, under: str = "") -> dict[Key, dict[str, Entry]]:
        """What lies where versions lie, of all models, of one, or of one version (`mine/3`)."""
        found: dict[Key, dict[str, Entry]] = {}
        for entry in self._folder.entries(f"{under}/" if under else ""):
            model, _, rest = entry.key.partition("/")
            number, _, file = rest.partition("/")
            if is_model_name(model) and _NUMBER.fullmatch(number) and file:
                found.setdefault((model, number), {})[file] = entry
        return found

    def _create_claim(self, key: Key) -> bool:
        return self._folder.create(_path(key, CLAIM), _claim())

    def _is_old(self, key: Key) -> bool:
        """A claim that cannot be read is never old: better some files too many than a version too few."""
        try:
            told = json.loads(self._folder.read(_path(key, CLAIM), max_bytes=_MOST_CLAIM_BYTES))
            return datetime.now(UTC) - datetime.fromisoformat(told["at"]) > LEFT_AFTER
        except (ValueError, TypeError, KeyError):
            return False

    def _complete(self, key: Key, manifest: bytes) -> None:
        try:
            self._folder.write(_path(key, MANIFEST_FILE), manifest)
        except StorageUnavailable:
            # It may have come all the same, and only the answer has not.
            if self._manifest_if_there(key) != manifest:
                raise

    def _manifest_if_there(self, key: Key) -> bytes | None:
        try:
            return self.manifest(key)
        except ObjectUnusable as exc:
            if exc.code == "object_missing":
                return None
            raise

    def _bring_back(self, key: Key, manifest: bytes) -> None:
        try:
            self._folder.write(_path(key, MANIFEST_FILE), manifest)
        except (ObjectUnusable, StorageUnavailable) as exc:
            log.error("%s/%s was to stay, and its manifest could not be put back: %s", *key, exc)

    def _remove_files(self, key: Key, files: Listed) -> None:
        for file in files:
            if file != CLAIM:
                self._folder.delete(_path(key, file))

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except (ObjectUnusable, StorageUnavailable) as exc:
            raise StoreNotWritable(f"the model store cannot be written: {exc}") from exc


def remote_store_of(settings: Settings) -> RemoteStore | None:
    """The store that MODEL_STORE names by a URL, one for this process; None: it names a folder."""
    return _opened(settings.model_store) if isinstance(settings.model_store, Location) else None


@lru_cache(maxsize=8)
def _opened(location: Location) -> RemoteStore:
    return RemoteStore(BucketFolder(location))


def _claim() -> bytes:
    return json.dumps({"at": datetime.now(UTC).isoformat(), "by": socket.gethostname()}).encode()


def _path(key: Key, file: str) -> str:
    return "/".join((*key, file))
