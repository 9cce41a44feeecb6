"""This machine's copy of a store of models that lies in a bucket: folders as of any store, kept as the bucket is.

Who serves reads the copy alone. So a store that is away takes nothing from what is here.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from production_server.errors import ObjectUnusable, StorageUnavailable, StoreNotWritable, Unavailable
from production_server.loop import Loop
from production_server.models.drafts import hidden_folder
from production_server.models.manifest import MANIFEST_FILE, Manifest, digest_of
from production_server.models.remote_store import Key, Listed, RemoteStore, remote_store_of
from production_server.models.removal import hidden
from production_server.models.store_folders import locked, sync, told
from production_server.models.tasks import task_of
from production_server.settings import Settings
from production_server.shown import shown
from production_server.storage.remote import Entry

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
SILENT_S = 60.0
"""After so long without a look somebody downloads something large, or nobody looks."""
SWEEP_EVERY_S = 3600.0
DAMAGED_PAUSE_S = 600.0
REFUSED_PAUSE_S = 60.0
STATE_FILE = ".looked"
_LOCK_FILE = ".looking"
_STOP_S = 1.0
"""Nobody waits longer for a download; what it leaves is swept by the next one."""

Stamp = frozenset[tuple[str, Entry]]
"""Of a version whose files are others the stamp is another one."""


class _Damaged(Exception):
    """Raised where what lies there is no version; the message says why."""


@dataclass(frozen=True, slots=True)
class _PassedOver:
    """What is not asked for again before that time of the monotonic clock, unless its stamp changes."""

    stamp: Stamp
    until: float


@dataclass(frozen=True, slots=True)
class _State:
    """How the last look went, in whichever process of this machine."""

    away: str = ""
    damaged: Mapping[str, str] = field(default_factory=dict)


class Mirror:
    """Brings what is new in the store, and removes what was removed there. One process of a machine looks at a time."""

    def __init__(self, store: Path, remote: RemoteStore, *, look_every_s: float = LOOK_EVERY_S) -> None:
        self._store = store
        self._remote = remote
        self._look_every_s = look_every_s
        self._same: dict[Key, Stamp] = {}
        """Versions that are known to be here as they are there."""
        self._passed_over: dict[Key, _PassedOver] = {}
        self._damaged: dict[str, str] = {}
        self._swept_at = time.monotonic()
        self._loop = Loop("mirror", self._step, pause_s=look_every_s)

    def start(self) -> None:
        """Look again and again, from now on."""
        self._loop.start()

    def close(self) -> None:
        """Look no more."""
        self._loop.stop(_STOP_S)

    def look_now(self) -> None:
        """Bring what is in the store, unless it does not answer, which the log then says, or somebody does it now.

        Raises:
            StoreNotWritable: there is no place for the copy.
        """
        with self._turn() as is_mine:
            if is_mine:
                self._look()

    def faults(self) -> list[str]:
        """What is wrong with the store, for whoever may know no more; empty: nothing."""
        try:
            age_s = time.time() - (self._store / STATE_FILE).stat().st_mtime
            state = self._read_state()
        except OSError:
            return ["the store of models has not been looked at yet"]
        found = []
        if state.away:
            found.append("the store of models is out of reach: what is here serves on")
        elif age_s > SILENT_S:
            found.append(f"the store of models has not been looked at for {age_s:.0f} s")
        if state.damaged:
            found.append(f"{len(state.damaged)} versions in the store of models cannot be brought here")
        return found

    def _step(self) -> bool:
        try:
            with self._turn() as is_mine:
                if is_mine and self._is_due():
                    self._look()
        except StoreNotWritable as exc:
            # As an outage: told once, and not with every step.
            raise Unavailable(str(exc)) from exc
        return False

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Whether this is the process that looks, until the end of the block."""
        with told(self._store):
            # The folder of the state is nobody else's, whoever makes it.
            self._store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._store.mkdir(exist_ok=True)
            descriptor = os.open(self._store / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def _is_due(self) -> bool:
        """Whether no other process has looked just now."""
        try:
            age_s = time.time() - (self._store / STATE_FILE).stat().st_mtime
        except OSError:
            return True
        return not 0 <= age_s < self._look_every_s / 2

    def _look(self) -> None:
        # First here, then there: what is published meanwhile is there before it is here, and does not count as removed.
        here = self._here()
        before = self._read_state()
        away = ""
        try:
            there = self._remote.versions()
            self._damaged = {
                name: why for name, why in self._damaged.items() if tuple(name.split("/")) in there
            }
            for key in sorted(there, key=lambda each: (each[0], -int(each[1]))):
                self._bring_if_new(key, there[key], is_here=key in here)
            for key in here - there.keys():
                self._remove(key)
            self._sweep_now_and_then()
        except (ObjectUnusable, StorageUnavailable) as exc:
            away = str(exc)
        if away and not before.away:
            log.warning(
                "the store of models, %s, is out of reach, what is here serves on: %s", self._remote.url, away
            )
        if before.away and not away:
            log.info("the store of models, %s, answers again", self._remote.url)
        self._write_state(_State(away, self._damaged))

    def _here(self) -> set[Key]:
        return {(path.parent.name, path.name) for path in self._store.glob("[!.]*/[1-9]*") if path.is_dir()}

    def _bring_if_new(self, key: Key, files: Listed, *, is_here: bool) -> None:
        stamp = frozenset(files.items())
        if is_here and self._same.get(key) == stamp:
            return
        passed = self._passed_over.get(key)
        if passed is not None and passed.stamp == stamp and time.monotonic() < passed.until:
            return
        try:
            self._bring(key, files)
        except _Damaged as exc:
            self._pass_over(key, stamp, str(exc), DAMAGED_PAUSE_S)
        except ObjectUnusable as exc:
            self._pass_over(key, stamp, str(exc), REFUSED_PAUSE_S)
        except (OSError, StoreNotWritable) as exc:
            self._pass_over(key, stamp, f"this machine's disk refuses: {exc}", REFUSED_PAUSE_S)
        else:
            self._same[key] = stamp
            self._passed_over.pop(key, None)
            self._damaged.pop("/".join(key), None)

    def _pass_over(self, key: Key, stamp: Stamp, why: str, pause_s: float) -> None:
        name = "/".join(key)
        if self._read_state().damaged.get(name) != why:
            log.warning("version %s of the store of models is passed over: %s", name, why)
        self._damaged[name] = why
        self._passed_over[key] = _PassedOver(stamp, time.monotonic() + pause_s)

    def _bring(self, key: Key, files: Listed) -> None:
        """Have a version here as it is there.

        Raises:
            _Damaged: it is none. OSError, StoreNotWritable: the disk refuses. ObjectUnusable, StorageUnavailable: the
                store does, or something has gone since it was listed.
        """
        written = self._remote.manifest(key)
        target = self._store.joinpath(*key)
        if _bytes_of(target / MANIFEST_FILE) == written:
            return
        manifest = _manifest_of(key, written, files)
        with hidden_folder(target.parent) as folder:
            for file in manifest.files:
                self._bring_file(key, file, manifest, folder)
            (folder / MANIFEST_FILE).write_bytes(written)
            for path in (folder, *folder.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
                sync(path)
            _put_in_place(folder, target)
        log.info("version %s of the store of models is here now", "/".join(key))

    def _bring_file(self, key: Key, file: str, manifest: Manifest, folder: Path) -> None:
        # Their names were checked as the manifest was read: none leads out of the folder.
        path, expected = folder / file, manifest.files[file]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as exc:
            raise _Damaged(f"{shown(file)} is to be in what is a file itself") from exc
        self._remote.download(key, file, path, size_bytes=expected.size_bytes)
        if digest_of(path) != expected:
            raise _Damaged(f"{shown(file)} has another SHA-256 than its manifest says")

    def _remove(self, key: Key) -> None:
        self._same.pop(key, None)
        try:
            with hidden(self._store.joinpath(*key)):
                log.info("version %s was removed from the store of models, and goes here, too", "/".join(key))
        except StoreNotWritable as exc:
            log.warning("version %s was removed from the store of models: %s", "/".join(key), exc)

    def _sweep_now_and_then(self) -> None:
        if time.monotonic() - self._swept_at > SWEEP_EVERY_S:
            self._swept_at = time.monotonic()
            self._remote.sweep()

    def _read_state(self) -> _State:
        try:
            return _State(**json.loads((self._store / STATE_FILE).read_bytes()))
        except (OSError, ValueError, TypeError):
            return _State()

    def _write_state(self, state: _State) -> None:
        text = json.dumps({"away": state.away, "damaged": dict(state.damaged)})
        try:
            new = self._store / f"{STATE_FILE}-new"
            new.write_text(text, encoding="utf-8")
            new.replace(self._store / STATE_FILE)
        except OSError as exc:
            log.warning("the copy of the store of models cannot be written: %s", exc)


def mirror_of(settings: Settings) -> Mirror | None:
    """The copy of the store that MODEL_STORE names by a URL; None: it names a folder."""
    remote = remote_store_of(settings)
    return None if remote is None else Mirror(settings.model_stores[-1], remote)


def _manifest_of(key: Key, written: bytes, files: Listed) -> Manifest:
    """A manifest whose files lie there as it says.

    Raises:
        _Damaged: it is none, is that of another version, or files are not there or of another size.
    """
    try:
        manifest = Manifest.model_validate_json(written)
        task_of(manifest)
    except ValueError as exc:
        raise _Damaged(f"its manifest cannot be read: {shown(str(exc))[:300]}") from exc
    if (manifest.name, manifest.version) != key:
        raise _Damaged(f"its manifest is that of {manifest.name}/{manifest.version}")
    for file, digest in manifest.files.items():
        if file == MANIFEST_FILE or not file.isprintable():
            raise _Damaged(f"no file of a version can be called {shown(file)}")
        if file not in files:
            raise _Damaged(f"{shown(file)} is not there")
        if files[file].size_bytes != digest.size_bytes:
            raise _Damaged(
                f"{shown(file)} has {files[file].size_bytes} bytes, its manifest says {digest.size_bytes}"
            )
    return manifest


def _put_in_place(folder: Path, target: Path) -> None:
    """Give a whole version its name; what has that name, and another manifest, goes."""
    with locked(target.parent):
        if target.exists():
            with tempfile.TemporaryDirectory(prefix=".draft-", dir=target.parent) as aside:
                target.rename(Path(aside) / target.name)
                folder.rename(target)
        else:
            folder.rename(target)
        sync(target.parent)


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
