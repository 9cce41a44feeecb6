"""Use case: a version becomes one in whole numbers of 8 bits, which passes the gate as what is imported does."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from production_server.confined.process import Program, started
from production_server.errors import InvalidInput
from production_server.learning.arrays import write_arrays
from production_server.learning.calibration import Calibration
from production_server.learning.imports import Admitted, Destination, examine_draft, gate_of
from production_server.learning.report import CheckName, Report, refuse_failed, write_report
from production_server.models.importing.process import Answered
from production_server.models.importing.version import importing_limits, importing_python, publish_made
from production_server.models.manifest import Manifest, Quantized
from production_server.models.store import ModelVersion
from production_server.models.store_folders import told
from production_server.settings import Settings

MODULE = "production_server.learning.quantizer"
MOST_OTHERS = 0.15
"""Of the labels: a canary with more others is taken back, too. Of numbers as much of what they differ by."""
LEAST_GAIN = 0.05
"""Of the processor's time: what takes no less is worth no version."""


@dataclass(frozen=True, kw_only=True)
class Quantizing:
    """A version, by what whole numbers are made of it, and what people want of it."""

    version: ModelVersion
    calibration: Calibration
    weight_bits: Literal[7, 8] = 7
    allowed: Collection[CheckName] = ()
    """Checks of the gate that it may fail."""
    is_dry_run: bool = False


def check_quantizable(version: ModelVersion) -> None:
    """See, without reading its graph, that whole numbers can be made of a version.

    Raises:
        InvalidInput: they cannot (field `model`). BrokenVersion: its files are damaged.
    """
    manifest = version.manifest
    if manifest.runner != "onnx":
        raise InvalidInput.at("model", "a version that ONNX Runtime runs", f"one that {manifest.runner} runs")
    if manifest.quantized is not None:
        raise InvalidInput.at(
            "model",
            f"a version in floating-point numbers, such as {manifest.quantized.version}",
            f"version {manifest.version}, which is in whole numbers already",
        )
    version.verify()


def quantize_through_gate(
    asked: Quantizing, to: Destination, say: Callable[[str], None], *, report_to: Callable[[Report], None]
) -> Admitted:
    """Make the version, and publish it if it passes; blocks for seconds. `report_to` gets the report in any case.

    Raises:
        InvalidInput: there are too few inputs, its graph has nothing to make whole numbers of, it answers otherwise
            then, or it gains nothing. GateClosed: it has failed a check that is not `allowed`.
        ImportFailed: the process that makes it did not come to an end within its limits, or has no ONNX.
        BrokenVersion, InferenceFailed, StoreNotWritable: as of an import.
    """
    check_quantizable(asked.version)
    asked.calibration.check()
    reports: list[Report] = []

    def fill(folder: Path) -> Answered:
        return _made(asked, folder, to.settings, say)

    def check(folder: Path) -> None:
        calibration = asked.calibration
        gate = gate_of(to.settings, say, allowed=asked.allowed)
        report = examine_draft(
            gate, folder, to.registry, sample=calibration.sample, target=calibration.target
        )
        reports.append(report)
        report_to(report)
        refuse_failed(report)
        write_report(report, folder)

    made = publish_made(
        asked.version.manifest.name,
        to.settings,
        fill,
        above=to.above,
        is_dry_run=asked.is_dry_run,
        check=check,
    )
    return Admitted(made=made, report=reports[-1])


def _made(asked: Quantizing, into: Path, settings: Settings, say: Callable[[str], None]) -> Answered:
    program = Program(
        module=MODULE,
        does="makes whole numbers of the model",
        python=importing_python(settings),
        limits=importing_limits(settings),
    )
    # In the draft, which others remove if this process is killed; from the root: the process works in this folder.
    with (
        tempfile.TemporaryDirectory(prefix=".scratch-", dir=into.resolve()) as scratch,
        started(program, Path(scratch)) as process,
    ):
        groups = []
        for place, tensors in enumerate(asked.calibration.groups):
            groups.append(f"{scratch}/calibration-{place}.npz")
            with told(into):
                write_arrays(tensors, Path(groups[-1]))
        process.send(
            {
                "source": str(asked.version.folder.resolve()),
                "into": str(into.resolve()),
                "groups": groups,
                "weight_bits": asked.weight_bits,
            }
        )
        while "say" in (message := process.receive()):
            say(message["say"])
    return _judged(asked, message["made"])


def _judged(asked: Quantizing, made: dict[str, Any]) -> Answered:
    """The manifest, and what was found out; what is of no use is refused."""
    number, calibration = asked.version.key[1], asked.calibration
    quantized = Quantized(
        version=number,
        sha256=asked.version.sha256,
        calibration=calibration.origin,
        items=calibration.items,
        weight_bits=asked.weight_bits,
        agreeing=made["agreeing"],
        apart=made["apart"],
    )
    (before_s, after_s), (before_bytes, after_bytes) = made["seconds"], made["bytes"]
    if not _is_alike(quantized):
        raise InvalidInput.at(
            "parity", f"answers as those of version {number}, but for {MOST_OTHERS:.0%}", quantized.told
        )
    took = f"{after_s * 1e6:,.3g} instead of {before_s * 1e6:,.3g} µs"
    if after_s > (1 - LEAST_GAIN) * before_s:
        raise InvalidInput.at("gain", "less of the processor's time for an item in whole numbers", took)
    notes = (
        f"Calibrated on {calibration.origin}.",
        f"Beside version {number}: {quantized.told}.",
        f"It takes {took} of the processor for an item, in batches.",
        f"The file has {after_bytes:,} instead of {before_bytes:,} bytes.",
    )
    return Answered(_manifest(asked.version.manifest, quantized), notes)


def _is_alike(quantized: Quantized) -> bool:
    if not math.isfinite(quantized.apart):
        return False
    if quantized.agreeing is None:
        return quantized.apart <= MOST_OTHERS
    return quantized.agreeing >= (1 - MOST_OTHERS) * quantized.items


def _manifest(of: Manifest, quantized: Quantized) -> Manifest:
    """The card of the version that it was made from, without what was found out of that alone."""
    # By its import's id, and its commit, whoever has lost track finds that version again, and not this one.
    source = of.source and of.source.model_copy(update={"import_id": None, "commit": None})
    return of.model_copy(
        update={
            "created": datetime.now(UTC).replace(microsecond=0),
            "metrics": None,
            "parity": None,
            "code_revision": None,
            "source": source,
            "quantized": quantized,
            "files": {},
        }
    )
