"""Has a confined process read a foreign file, and passes on what it says."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from production_server.confined.limits import Limits
from production_server.confined.process import Program, started
from production_server.models.importing.described import Described
from production_server.models.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An import: the file, what is said of it, and which Python reads it."""

    file: Path
    name: str
    described: Described = field(default_factory=Described)
    weights: Path | None = None
    sample: Path | None = None
    signature: str | None = None
    import_id: UUID | None = None
    """Of a file that was sent; it stays with the version."""
    python: Path = Path(sys.executable)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Answered:
    """A manifest without its number and digests, and what was assumed, one sentence each."""

    manifest: Manifest
    notes: tuple[str, ...]


def import_in_process(
    asked: Asked, into: Path, say: Callable[[str], None], *, stopping: threading.Event | None = None
) -> Answered:
    """Have a process of its own read the file, and write what is served into `into`; blocks until it has.

    `stopping` ends it early when it is set. Called in a thread that lives as long: the process dies with it.

    Raises:
        InvalidInput: the file, or what is said of it, cannot be used.
        BrokenVersion, InferenceFailed: what is served of it does not load or run.
        StoreNotWritable: there is no room for it.
        ImportFailed: the process did not come to an end within its limits.
        ImportStopped: `stopping` was set.
    """
    program = Program(module=__package__, does="reads the file", python=asked.python, limits=asked.limits)
    # In the draft, which others remove if this process is killed.
    with (
        tempfile.TemporaryDirectory(prefix=".scratch-", dir=into) as scratch,
        started(program, Path(scratch), stopping=stopping) as process,
    ):
        process.send(_request(asked, into, Path(scratch)))
        while "say" in (message := process.receive()):
            say(message["say"])
        answer = message["imported"]
        return Answered(Manifest.model_validate(answer["manifest"]), tuple(answer["notes"]))


def _request(asked: Asked, into: Path, scratch: Path) -> dict[str, Any]:
    paths = {
        "file": asked.file,
        "into": into,
        "scratch": scratch,
        "weights": asked.weights,
        "sample": asked.sample,
    }
    return {
        "paths": {name: str(path.resolve()) for name, path in paths.items() if path is not None},
        "name": asked.name,
        "described": asked.described.model_dump(mode="json"),
        "signature": asked.signature,
    }
