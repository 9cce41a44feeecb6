"""A trained version passes the gate before it is published, as a file does that somebody brings."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from production_server.learning.imports import gate_of, version_in
from production_server.learning.report import CheckName, refuse_failed, write_report
from production_server.models.registry import Registry
from production_server.settings import read_settings

if TYPE_CHECKING:
    from production_server.models.importing.sample import HeldOut
    from production_server.training.progress import Reporter

_SETTINGS = ("GATE_", "IMPORT_")


def pass_gate(
    folder: Path,
    store: Path,
    *,
    held_out: HeldOut | None = None,
    allowed: Collection[CheckName],
    reporter: Reporter,
) -> None:
    """Hold a drafted version against the newest one of its name in the store; `held_out` is what both are tried on.

    Which version serves is known where the service runs, not here.

    Raises:
        GateClosed: it has failed a check that is not `allowed`. SettingsError: `GATE_…` cannot be read.
    """
    settings = read_settings({name: text for name, text in os.environ.items() if name.startswith(_SETTINGS)})
    candidate, registry = version_in(folder), Registry([store])
    name = candidate.manifest.name
    newest = registry.versions(name)[-1] if name in registry.model_names() else None
    report = gate_of(settings, reporter.say, allowed=allowed).examine(candidate, newest, held_out)
    for line in report.lines():
        reporter.say(line)
    refuse_failed(report)
    write_report(report, folder)
