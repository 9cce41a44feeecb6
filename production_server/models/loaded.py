"""The versions that a process has loaded: each loaded once, used by many threads, and let go while others go on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from production_server.models.runners import Runner, load_runner, warm_up
from production_server.models.store import ModelVersion

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Held:
    """A loaded version, and how many batches have it in hand."""

    version: ModelVersion
    runner: Runner
    batches: int = 0
    is_released: bool = False
    used_at: float = 0.0
    """When the last batch was done, or else when it was loaded (monotonic clock)."""


class LoadedVersions:
    """What is loaded; safe to share between threads.

    A version that is released while a batch has it in hand is closed, and its memory given back, when that batch is
    done; nobody waits for that. Who asks for it again loads it again. Of two manifests under one number the later
    one counts: it is loaded before the other one is let go.
    """

    def __init__(self, *, threads: int) -> None:
        self._threads = threads
        self._held: dict[tuple[str, str], _Held] = {}
        self._lock = threading.Lock()
        """Guards the entries, for moments."""
        self._loading = threading.Lock()
        """Held while a version is loaded, which takes seconds: those that are loaded serve on."""

    @property
    def versions(self) -> list[ModelVersion]:
        """Each that is loaded, in the order in which they were."""
        with self._lock:
            return [held.version for held in self._held.values()]

    def has(self, version: ModelVersion) -> bool:
        """Whether it is loaded, with the manifest that it has. Never blocks."""
        held = self._held.get(version.key)
        return held is not None and held.version == version

    def idle_s(self, version: ModelVersion) -> float:
        """How long no batch has had a version in hand; 0 while one has, or if it is not loaded."""
        with self._lock:
            held = self._held.get(version.key)
            return 0.0 if held is None or held.batches else time.monotonic() - held.used_at

    def load(self, version: ModelVersion) -> None:
        """Load a version, check it and warm it up, unless it is loaded; blocks until it is.

        Raises:
            BrokenVersion: its file does not match the manifest, or the engine cannot load it.
            InferenceFailed: it does not run.
        """
        with self.use(version):
            pass

    @contextmanager
    def use(self, version: ModelVersion) -> Iterator[Runner]:
        """The version's runner, loaded if it is not; it stays open as long as this lasts.

        Raises:
            BrokenVersion, InferenceFailed: as `load`.
        """
        held = self._take(version) or self._load(version)
        try:
            yield held.runner
        finally:
            self._put_back(held)

    def release(self, version: ModelVersion) -> None:
        """Let a version go; nothing happens if it is not loaded, or if another one has taken its number."""
        with self._lock:
            held = self._held.get(version.key)
            if held is None or held.version != version:
                return
            del self._held[version.key]
        self._let_go(held)

    def close(self) -> None:
        """Let all go."""
        for version in self.versions:
            self.release(version)

    def _take(self, version: ModelVersion) -> _Held | None:
        with self._lock:
            held = self._held.get(version.key)
            if held is None or held.version != version:
                return None
            held.batches += 1
            return held

    def _put_back(self, held: _Held) -> None:
        with self._lock:
            held.batches -= 1
            held.used_at = time.monotonic()
            is_last = held.is_released and not held.batches
        if is_last:
            _close(held)

    def _load(self, version: ModelVersion) -> _Held:
        """The version, taken for one batch."""
        with self._loading:
            held = self._take(version)
            if held is not None:
                return held
            begun = time.perf_counter()
            runner = load_runner(version, threads=self._threads)
            try:
                warm_up(runner, version)
            except BaseException:
                runner.close()
                raise
            held = _Held(version, runner, batches=1, used_at=time.monotonic())
            with self._lock:
                replaced = self._held.pop(version.key, None)
                self._held[version.key] = held
        log.info("loaded %s in %.0f ms", "/".join(version.key), (time.perf_counter() - begun) * 1000)
        if replaced is not None:
            self._let_go(replaced)
        return held

    def _let_go(self, held: _Held) -> None:
        with self._lock:
            held.is_released = True
            is_idle = not held.batches
        if is_idle:
            _close(held)


def _close(held: _Held) -> None:
    held.runner.close()
    log.info("let go of %s", "/".join(held.version.key))
