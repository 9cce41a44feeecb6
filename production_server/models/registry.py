"""Which versions of which models there are, and which one a caller means: the one place that decides it."""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from production_server.descriptors import EXHAUSTED
from production_server.errors import BrokenVersion, NotFound, VersionRetired
from production_server.loop import Loop
from production_server.models.channels import CANARY, STABLE, UNTOUCHED, Known
from production_server.models.store import ModelVersion, Store
from production_server.models.tasks.task import Task
from production_server.models.tasks.unknown import UNKNOWN

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 1.0
"""So old may be what is known of the store: a look at its folders takes longer than to read a request."""

Versions = dict[str, ModelVersion]
"""The versions of one model by their numbers, oldest first; never empty."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the store held when it was looked at (monotonic clock)."""

    looked_at: float
    models: Mapping[str, Versions]


class Registry:
    """The models of a list of folders. Safe to share between threads; looks at the disk once a second at most.

    A version that was put into a folder, or taken away, is noticed within `LOOK_AGAIN_S`; one that is asked for by its
    number, and a model that is asked for by its name, are looked for at once if they are not known. From `start` to
    `close` a thread of its own looks: who asks for what is known waits for no disk.
    """

    def __init__(
        self, folders: Iterable[Path], *, known: Known = dict, look_again_s: float = LOOK_AGAIN_S
    ) -> None:
        """`known` tells how versions stand: which ones channels name, and which are retired."""
        self._store = Store(folders)
        self._known = known
        self._look_again_s = look_again_s
        self._seen = _Seen(float("-inf"), {})
        self._looking = threading.Lock()
        self._is_kept_fresh = False
        self._loop = Loop("stores of models", self._step, pause_s=look_again_s)

    def start(self) -> None:
        """Look for what is new beside whoever asks, from now on."""
        self._loop.start()

    def close(self) -> None:
        """Look only for who asks. A disk that is silent is not waited for."""
        self._loop.stop(LOOK_AGAIN_S)
        self._is_kept_fresh = False

    def resolve(self, model: str, which: str | None = None) -> ModelVersion:
        """The version that new work is for: the one of that number, or that the channel of that name names now.

        None: the one that `stable` names.

        Raises:
            NotFound: there is no such model (code `model_not_found`), version or channel (`version_not_found`).
            VersionRetired: it takes no new work.
            BrokenVersion: the channel names a version that is not in these folders.
            Unavailable: what channels name is not known yet.
        """
        if which is None or not which.isdecimal():
            return self._on_channel(model, STABLE if which is None else which)
        found = self.version(model, which)
        if which in self._known().get(model, UNTOUCHED).retired:
            raise VersionRetired(f"version {which} of model {model!r} is retired: it takes no new work")
        return found

    def draw(self, model: str, which: str | None = None, *, sticky: str = "") -> ModelVersion:
        """As `resolve`, for calls and items: of those that ask for no version the canary gets its share.

        What comes with the same text `sticky` gets the same version as long as the same canary has the same share; what
        comes without is drawn each time.

        Raises:
            NotFound, VersionRetired, BrokenVersion, Unavailable: as `resolve`. A canary that is not here gets nothing.
        """
        if which is None:
            standing = self._known().get(model, UNTOUCHED)
            number = standing.channels.get(CANARY, "")
            if number and _lot(f"{model}/{number}/{sticky}" if sticky else "") < standing.canary_percent:
                canary = self._versions_of(model).get(number)
                if canary is not None:
                    return canary
        return self.resolve(model, which)

    def version(self, model: str, number: str) -> ModelVersion:
        """The version of that number, retired or not: for work that was accepted, and for whoever looks at it.

        Raises:
            NotFound: there is no such model (code `model_not_found`), or no such version (`version_not_found`).
        """
        versions = self._versions_of(model, number)
        found = versions.get(number)
        if found is None:
            raise NotFound(
                f"model {model!r} has no version {number!r}; it has {', '.join(versions)}",
                code="version_not_found",
            )
        return found

    def at_hand(self, model: str, number: str) -> ModelVersion | None:
        """The version of that number, if asking for it takes no look at the disk. Never blocks."""
        return self._seen.models.get(model, {}).get(number) if self._is_kept_fresh else None

    def _on_channel(self, model: str, channel: str) -> ModelVersion:
        versions = self._versions_of(model)
        standing = self._known().get(model, UNTOUCHED)
        number = standing.named(channel, versions)
        if number is None:
            known = ", ".join((*versions, *standing.channels_among(versions)))
            raise NotFound(
                f"model {model!r} has no version or channel {channel!r}; it has {known}",
                code="version_not_found",
            )
        found = versions.get(number) or self._versions_of(model, number).get(number)
        if found is None:
            raise BrokenVersion(f"{channel} of model {model!r} names version {number}, which is not here")
        return found

    def look_again(self) -> None:
        """Know what lies in the folders now, and not what did a second ago."""
        self._look(time.monotonic())

    def model_names(self) -> list[str]:
        """The names of all models that have at least one version, sorted."""
        return list(self._recent().models)

    def task_of(self, model: str, number: str) -> Task:
        """What tells the answers of a version, whether that is still there or not."""
        try:
            return self.version(model, number).task
        except NotFound:
            return UNKNOWN

    def versions(self, model: str) -> list[ModelVersion]:
        """All versions of a model, oldest first.

        Raises:
            NotFound: there is no such model (code `model_not_found`).
        """
        return list(self._versions_of(model).values())

    def channels(self, model: str) -> dict[str, str]:
        """Which version each channel of a model names, `stable` first; one may name a version that is not here.

        Raises:
            NotFound: there is no such model (code `model_not_found`). Unavailable: it is not known yet.
        """
        return self._known().get(model, UNTOUCHED).channels_among(self._versions_of(model))

    def next_stable(self, model: str) -> str | None:
        """The version that `stable` names as soon as workers have loaded it; None: all are retired.

        Raises:
            NotFound: there is no such model (code `model_not_found`). Unavailable: it is not known yet.
        """
        return self._known().get(model, UNTOUCHED).next_stable(self._versions_of(model))

    def retired(self, model: str) -> frozenset[str]:
        """The numbers of a model's versions that take no new work.

        Raises:
            Unavailable: it is not known yet.
        """
        return self._known().get(model, UNTOUCHED).retired

    def shown(self, model: str) -> ModelVersion:
        """The version that lists show a model by: the stable one, or the newest where that is not here.

        Raises:
            NotFound: there is no such model (code `model_not_found`). Unavailable: as `channels`.
        """
        versions = self._versions_of(model)
        stable = self.channels(model).get(STABLE, "")
        return versions.get(stable) or next(reversed(versions.values()))

    def stable_versions(self) -> list[ModelVersion]:
        """The version on each model's stable channel, of those that are here.

        Raises:
            Unavailable: as `channels`.
        """
        return [
            each for each in self.wanted_versions() if self.channels(each.key[0]).get(STABLE) == each.key[1]
        ]

    def wanted_versions(self) -> list[ModelVersion]:
        """Each version that a worker is to have loaded, of those that are here.

        Raises:
            Unavailable: as `channels`.
        """
        known = self._known()
        seen = self._recent().models
        return [
            version
            for name, versions in seen.items()
            for number, version in versions.items()
            if number in known.get(name, UNTOUCHED).to_load(versions)
        ]

    def has(self, version: ModelVersion) -> bool:
        """Whether the version is still there, with the manifest that it had."""
        known = self._recent().models
        name, number = version.key
        return known.get(name, {}).get(number) == version

    def _versions_of(self, model: str, wanted: str | None = None) -> Versions:
        """A model's versions; what is not known, the model or the version `wanted`, is looked for anew."""
        now = time.monotonic()
        versions = self._recent().models.get(model)
        if versions is None or (wanted is not None and wanted not in versions):
            models = self._look(now).models
            versions = models.get(model)
            if versions is None:
                known = ", ".join(models) or "none"
                raise NotFound(f"there is no model {model!r}; known models: {known}", code="model_not_found")
        return versions

    def _step(self) -> bool:
        self.look_again()
        self._is_kept_fresh = True
        return False

    def _recent(self) -> _Seen:
        """What is known; where the thread looks without a look of the caller's own, which a silent disk would stop."""
        if self._is_kept_fresh:
            return self._seen
        return self._look(time.monotonic() - self._look_again_s)

    def _look(self, not_before: float) -> _Seen:
        """What is known, from a look at the disk that is not older than that; threads that want one share it."""
        if self._seen.looked_at < not_before:
            with self._looking:
                if self._seen.looked_at < not_before:
                    self._seen = self._look_at_disk()
        return self._seen

    def _look_at_disk(self) -> _Seen:
        """What there is; while nothing can be opened, what there was."""
        try:
            return _look_at(self._store)
        except OSError as exc:
            if exc.errno not in EXHAUSTED or not self._seen.models:
                raise
            log.warning("the stores of models cannot be looked at: %s", exc)
            return _Seen(time.monotonic(), self._seen.models)


def _lot(text: str) -> float:
    """From 0 to below 100, evenly: always the same for a text, any for none."""
    if not text:
        return secrets.randbelow(10_000) / 100
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48 * 100


def _look_at(store: Store) -> _Seen:
    looked_at = time.monotonic()
    models: dict[str, dict[str, ModelVersion]] = {}
    for each in store.versions():
        models.setdefault(each.manifest.name, {})[each.manifest.version] = each
    return _Seen(looked_at, models)
