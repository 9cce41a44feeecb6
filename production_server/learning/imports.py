"""Use case: a foreign file comes in through the gate. The command line and workers come this way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from production_server.confined.limits import Limits
from production_server.confined.process import Program
from production_server.errors import BrokenVersion, ImportStopped, NotFound
from production_server.learning.gate import Bounds, Gate
from production_server.learning.measuring import check_truths
from production_server.learning.published import published_by
from production_server.learning.report import CheckName, Report, refuse_failed, write_report
from production_server.models.importing.process import Asked
from production_server.models.importing.sample import read_sample, sample_folder
from production_server.models.importing.version import Made, make_version
from production_server.models.manifest import read_manifest
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion
from production_server.models.tasks import task_of
from production_server.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A version that has passed, or of a dry run would have, and what the gate said."""

    made: Made
    report: Report


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a version is to come: the stores of the settings, and what serves of them now."""

    settings: Settings
    registry: Registry
    above: int
    """Its number is higher, also than those in the stores: versions that were deleted had some."""


def import_through_gate(
    asked: Asked,
    to: Destination,
    say: Callable[[str], None],
    *,
    allowed: Collection[CheckName],
    is_dry_run: bool,
    report_to: Callable[[Report], None] = lambda _report: None,
    keep: Callable[[Path], None] = lambda _folder: None,
    stopping: threading.Event | None = None,
) -> Admitted:
    """Make a version of a file, and publish it if it passes; `report_to` gets the gate's report in any case.

    `keep` gets the folder of one that has passed before it is published or, by a dry run, removed.

    Raises:
        GateClosed: it has failed a check that is not `allowed`.
        CeleriacError: as `make_version`.
    """
    with sample_folder(asked.sample, to.settings.model_stores[-1] / asked.name) as sample:
        return _import_through_gate(
            replace(asked, sample=sample),
            to,
            say,
            allowed=allowed,
            is_dry_run=is_dry_run,
            report_to=report_to,
            keep=keep,
            stopping=stopping,
        )


def _import_through_gate(
    asked: Asked,
    to: Destination,
    say: Callable[[str], None],
    *,
    allowed: Collection[CheckName],
    is_dry_run: bool,
    report_to: Callable[[Report], None],
    keep: Callable[[Path], None],
    stopping: threading.Event | None,
) -> Admitted:
    reports: list[Report] = []

    def check(folder: Path) -> None:
        gate = gate_of(to.settings, say, allowed=allowed, stopping=stopping)
        report = examine_draft(gate, folder, to.registry, sample=asked.sample, target=asked.described.target)
        reports.append(report)
        report_to(report)
        refuse_failed(report)
        if stopping is not None and stopping.is_set():
            raise ImportStopped("nobody waits for it any more")
        # No other draft of this model is published here now. Whoever has lost the import may have woken up late.
        if asked.import_id and published_by(asked.import_id, asked.name, to.registry, to.settings):
            raise ImportStopped("it is published already")
        write_report(report, folder)
        keep(folder)

    made = make_version(
        asked, to.settings, say, above=to.above, is_dry_run=is_dry_run, check=check, stopping=stopping
    )
    return Admitted(made=made, report=reports[-1])


def gate_of(
    settings: Settings,
    say: Callable[[str], None],
    *,
    allowed: Collection[CheckName] = (),
    stopping: threading.Event | None = None,
) -> Gate:
    """The gate as the settings have it."""
    bounds = Bounds(margin=settings.gate_margin, latency=settings.gate_latency, memory=settings.gate_memory)
    return Gate(
        program=partial(_program, settings), bounds=bounds, allowed=allowed, say=say, stopping=stopping
    )


def _program(settings: Settings, version: ModelVersion) -> Program:
    # Models of Keras run where Keras is.
    is_keras = version.manifest.runner == "keras"
    python = settings.import_python if is_keras and settings.import_python else Path(sys.executable)
    return Program(
        module="production_server.learning.probe",
        does="runs the model",
        python=python,
        limits=Limits(memory_bytes=settings.import_memory_bytes, timeout_s=settings.import_timeout_s),
    )


def version_in(folder: Path) -> ModelVersion:
    """A draft, as a worker sees a version.

    Raises:
        OSError, ValueError: its manifest cannot be read.
    """
    manifest = read_manifest(folder)
    return ModelVersion(manifest, folder, task_of(manifest))


def examine_draft(
    gate: Gate, folder: Path, registry: Registry, *, sample: Path | None, target: str | None
) -> Report:
    """What the gate says of a draft beside what serves now; `sample` is what both are tried on, with its truths.

    Raises:
        OSError, ValueError: the draft's manifest cannot be read.
        InvalidInput: the sample cannot be read, or is of another model. ImportStopped: as `Gate.examine`.
    """
    candidate = version_in(folder)
    found = None
    if sample is not None:
        features = [each.name for each in candidate.manifest.features]
        image = candidate.manifest.image
        found = read_sample(sample, target=target, features=features, image=image)
    check_truths(candidate, found)
    return gate.examine(candidate, stable_of(registry, candidate.manifest.name), found)


def stable_of(registry: Registry, name: str) -> ModelVersion | None:
    """What serves now, or, where that is not here, what is shown instead of it; None: there is no such model."""
    registry.look_again()
    try:
        return registry.resolve(name)
    except BrokenVersion:
        return registry.shown(name)
    except NotFound:
        return None
