"""Use case: a foreign file becomes the next version of a model. The command line and workers come this way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from production_server.confined.limits import Limits
from production_server.models.drafts import draft_version
from production_server.models.importing.process import Answered, Asked, import_in_process
from production_server.models.manifest import Manifest, read_manifest
from production_server.models.remote_store import remote_store_of
from production_server.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Made:
    """A version as it serves, or would: its manifest, what was assumed, and where it lies; None: nowhere."""

    manifest: Manifest
    notes: tuple[str, ...]
    folder: Path | None


def make_version(
    asked: Asked,
    settings: Settings,
    say: Callable[[str], None],
    *,
    above: int,
    is_dry_run: bool,
    check: Callable[[Path], None],
    stopping: threading.Event | None = None,
) -> Made:
    """Import a file, and publish it in the last of the stores unless it is a dry run; blocks until it is done.

    Which Python reads it, and what it may use, is said by the settings. Its number is after `above`.

    `check` looks at the whole folder, with its manifest; what it raises is passed on, and there is no version. Nor is
    there one once `stopping` is set.

    Raises:
        InvalidInput: the file, or what is said of it, cannot be used.
        BrokenVersion, InferenceFailed, StoreNotWritable, ImportFailed, ImportStopped: as `import_in_process`.
    """
    asked = replace(asked, python=importing_python(settings), limits=importing_limits(settings))

    def fill(folder: Path) -> Answered:
        answered = import_in_process(asked, folder, say, stopping=stopping)
        return replace(answered, manifest=_of_import(answered.manifest, asked))

    return publish_made(asked.name, settings, fill, above=above, is_dry_run=is_dry_run, check=check)


def publish_made(
    name: str,
    settings: Settings,
    fill: Callable[[Path], Answered],
    *,
    above: int,
    is_dry_run: bool,
    check: Callable[[Path], None],
) -> Made:
    """Have `fill` write a version's files into a draft, and publish that as `make_version` does.

    Raises:
        StoreNotWritable: the store is full, or cannot be written.
    """
    *others, store = settings.model_stores
    with draft_version(store, name, others=others, above=above, remote=remote_store_of(settings)) as draft:
        answered = fill(draft.folder)
        known = {"version": draft.version, "files": draft.digests()}
        manifest = answered.manifest.model_copy(update=known)
        if is_dry_run:
            draft.rehearse(manifest, check=check)
            return Made(manifest=manifest, notes=answered.notes, folder=None)
        folder = draft.publish(manifest, check=check)
    return Made(manifest=read_manifest(folder), notes=answered.notes, folder=folder)


def importing_python(settings: Settings) -> Path:
    """The Python in which foreign files are read."""
    return settings.import_python or Path(sys.executable)


def importing_limits(settings: Settings) -> Limits:
    """What the process may use in which they are."""
    return Limits(
        memory_bytes=settings.import_memory_bytes,
        timeout_s=settings.import_timeout_s,
        read_bytes=settings.import_file_bytes,
    )


def _of_import(manifest: Manifest, asked: Asked) -> Manifest:
    if manifest.source is None or asked.import_id is None:
        return manifest
    source = manifest.source.model_copy(update={"import_id": asked.import_id})
    return manifest.model_copy(update={"source": source})
