"""What is sent with a file that is to become a version: over HTTP, and on, as JSON, to the worker that makes it."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from production_server.models.importing.described import Described
from production_server.models.manifest import Frozen, Source

FILE, WEIGHTS, SAMPLE = "file", "weights", "sample.csv"
"""What the files are called where they wait."""


class Files(TypedDict):
    """The files of an import, as `process.Asked` has them."""

    file: Path
    source: Source
    weights: Path | None
    sample: Path | None


class Sent(Frozen):
    """An import as its sender wants it."""

    source: Source
    described: Described = Described()
    signature: str | None = None
    has_weights: bool = False
    has_sample: bool = False
    breaking: bool = False
    """It may take other inputs or answers than the model's versions now have."""
    dry_run: bool = False

    def files_in(self, folder: Path) -> Files:
        """Where its files are, in the folder in which they wait."""
        return {
            "file": folder / FILE,
            "source": self.source,
            "weights": folder / WEIGHTS if self.has_weights else None,
            "sample": folder / SAMPLE if self.has_sample else None,
        }
