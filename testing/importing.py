"""Imports in the test's own process, where TensorFlow has started once for many of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from production_server.models.drafts import draft_version
from production_server.models.importing.described import Described
from production_server.models.importing.importer import Imported, Request, import_file
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion


def import_here(
    store: Path, file: Path, described: Described | None = None, *, name: str = "mine", **more: Any
) -> tuple[ModelVersion, Imported]:
    """Make `file` the next version of `name`, as `models import` does but for the process of its own."""
    with draft_version(store, name) as draft, tempfile.TemporaryDirectory() as scratch:
        request = Request(file, draft.folder, Path(scratch), name, described or Described(), **more)
        imported = import_file(request, lambda _: None)
        draft.publish(imported.manifest.model_copy(update={"files": draft.digests()}), check=lambda _: None)
    return Registry([store]).resolve(name), imported
