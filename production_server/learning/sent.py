"""What is sent with a file that is to become a version: over HTTP, and on, as JSON, to the worker that makes it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from production_server.learning.report import CheckName
from production_server.models.importing.described import Described
from production_server.models.importing.uploads import Part
from production_server.models.manifest import Frozen


class Sent(Frozen):
    """An import as its sender wants it."""

    described: Described = Described()
    urls: Mapping[Part, str] = Field(default_factory=dict)
    """Where those of its files lie that whoever makes the version has to fetch."""
    signature: str | None = None
    allowed: tuple[CheckName, ...] = ()
    """Checks of the gate that it may fail."""
    dry_run: bool = False
