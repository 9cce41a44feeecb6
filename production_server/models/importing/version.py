"""Use case: a foreign file becomes the next version of a model. The command line and workers come this way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from production_server.confined.limits import Limits
from production_server.errors import InvalidInput, NotFound
from production_server.models.drafts import draft_version
from production_server.models.importing.process import Asked, import_in_process
from production_server.models.manifest import Manifest
from production_server.models.registry import Registry
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
    is_breaking: bool,
    is_dry_run: bool,
    stopping: threading.Event | None = None,
) -> Made:
    """Import a file, and publish it in the last of the stores unless it is a dry run; blocks until it is done.

    Which Python reads it, and what it may use, is said by the settings.

    `is_breaking`: it may take and answer something else than the model's version does now. Nothing is published once
    `stopping` is set.

    Raises:
        InvalidInput: the file, or what is said of it, cannot be used; or it takes or answers something else.
        BrokenVersion, InferenceFailed, StoreNotWritable, ImportFailed, ImportStopped: as `import_in_process`.
    """
    stores = settings.model_stores
    *others, store = stores
    asked = replace(
        asked,
        python=settings.import_python or Path(sys.executable),
        limits=Limits(
            memory_bytes=settings.import_memory_bytes,
            timeout_s=settings.import_timeout_s,
            read_bytes=settings.import_file_bytes,
        ),
    )
    with draft_version(store, asked.name, others=others) as draft:
        answered = import_in_process(asked, draft.folder, say, stopping=stopping)
        if not is_breaking:
            check_signature(stores, answered.manifest)
        manifest = answered.manifest.model_copy(update={"version": draft.version, "files": draft.digests()})
        if is_dry_run:
            return Made(manifest=manifest, notes=answered.notes, folder=None)
        folder = draft.publish(manifest, check=lambda _: None)
    manifest = manifest.model_copy(update={"version": folder.name})
    return Made(manifest=manifest, notes=answered.notes, folder=folder)


def check_signature(stores: Sequence[Path], manifest: Manifest) -> None:
    """See that a version takes and answers what clients of its name have now.

    Raises:
        InvalidInput: it does not; names what differs.
    """
    try:
        now = Registry(stores).resolve(manifest.name).manifest
    except NotFound:
        return
    differ = [
        what
        for what, is_other in (
            ("task", manifest.task != now.task),
            ("features", [each.name for each in manifest.features] != [each.name for each in now.features]),
            ("labels", manifest.labels != now.labels),
            ("inputs", _shapes(manifest.inputs) != _shapes(now.inputs)),
            ("outputs", _shapes(manifest.outputs) != _shapes(now.outputs)),
        )
        if is_other
    ]
    if differ:
        raise InvalidInput.at(
            "name",
            f"another one, or breaking: {manifest.name} {now.version} has other {', '.join(differ)}",
            manifest.name,
        )


def _shapes(specs: Any) -> list[Any]:
    return [(spec.name, spec.shape, spec.dtype) for spec in specs]
