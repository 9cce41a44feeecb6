"""Which versions of which models there are, and which one a caller means: the one place that decides it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from production_server.descriptors import EXHAUSTED
from production_server.errors import NotFound
from production_server.models.store import ModelVersion, Store

log = logging.getLogger(__name__)

STABLE = "stable"
LOOK_AGAIN_S = 1.0
"""So old may be what is known of the store: a look at its folders takes longer than to read a request."""

Versions = dict[str, ModelVersion]
"""The versions of one model by their numbers, oldest first; never empty."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the store held when it was looked at (monotonic clock)."""

    looked_at: float
    models: Mapping[str, Versions]


class Registry:
    """The models of a list of folders. Safe to share between threads; looks at the disk once a second at most.

    A version that was put into a folder, or taken away, is noticed within `LOOK_AGAIN_S`; one that is asked for by its
    number, and a model that is asked for by its name, are looked for at once if they are not known.
    """

    def __init__(self, folders: Iterable[Path], *, look_again_s: float = LOOK_AGAIN_S) -> None:
        self._store = Store(folders)
        self._look_again_s = look_again_s
        self._known = _Known(float("-inf"), {})
        self._looking = threading.Lock()

    def resolve(self, model: str, version: str | None = None, *, channel: str = STABLE) -> ModelVersion:
        """The version of that number; without one, the version that the channel names now.

        Raises:
            NotFound: there is no such model (code `model_not_found`), version or channel (`version_not_found`).
        """
        versions = self._versions_of(model, version)
        if version is None:
            version = _channels_of(versions).get(channel)
        found = None if version is None else versions.get(version)
        if found is not None:
            return found
        if version is not None:
            asked, known = f"version {version!r}", ", ".join(versions)
        else:
            asked, known = f"channel {channel!r}", ", ".join(_channels_of(versions))
        raise NotFound(f"model {model!r} has no {asked}; it has {known}", code="version_not_found")

    def model_names(self) -> list[str]:
        """The names of all models that have at least one version, sorted."""
        return list(self._look(time.monotonic() - self._look_again_s).models)

    def versions(self, model: str) -> list[ModelVersion]:
        """All versions of a model, oldest first.

        Raises:
            NotFound: there is no such model (code `model_not_found`).
        """
        return list(self._versions_of(model).values())

    def channels(self, model: str) -> dict[str, str]:
        """Which version each channel of a model names.

        Raises:
            NotFound: there is no such model (code `model_not_found`).
        """
        return _channels_of(self._versions_of(model))

    def stable_versions(self) -> list[ModelVersion]:
        """The version on each model's stable channel: what a worker loads when it starts."""
        known = self._look(time.monotonic() - self._look_again_s)
        return [versions[_channels_of(versions)[STABLE]] for versions in known.models.values()]

    def has(self, version: ModelVersion) -> bool:
        """Whether the version is still there, with the manifest that it had."""
        known = self._look(time.monotonic() - self._look_again_s).models
        name, number = version.key
        return known.get(name, {}).get(number) == version

    def _versions_of(self, model: str, wanted: str | None = None) -> Versions:
        """A model's versions; what is not known, the model or the version `wanted`, is looked for anew."""
        now = time.monotonic()
        versions = self._look(now - self._look_again_s).models.get(model)
        if versions is None or (wanted is not None and wanted not in versions):
            models = self._look(now).models
            versions = models.get(model)
            if versions is None:
                known = ", ".join(models) or "none"
                raise NotFound(f"there is no model {model!r}; known models: {known}", code="model_not_found")
        return versions

    def _look(self, not_before: float) -> _Known:
        """What is known, from a look at the disk that is not older than that; threads that want one share it."""
        if self._known.looked_at < not_before:
            with self._looking:
                if self._known.looked_at < not_before:
                    self._known = self._look_at_disk()
        return self._known

    def _look_at_disk(self) -> _Known:
        """What there is; while nothing can be opened, what there was."""
        try:
            return _look_at(self._store)
        except OSError as exc:
            if exc.errno not in EXHAUSTED or not self._known.models:
                raise
            log.warning("the stores of models cannot be looked at: %s", exc)
            return _Known(time.monotonic(), self._known.models)


def _look_at(store: Store) -> _Known:
    looked_at = time.monotonic()
    models: dict[str, dict[str, ModelVersion]] = {}
    for each in store.versions():
        models.setdefault(each.manifest.name, {})[each.manifest.version] = each
    return _Known(looked_at, models)


def _channels_of(versions: Versions) -> dict[str, str]:
    """The one place where channels are decided: `stable` is the newest version."""
    return {STABLE: next(reversed(versions))}
