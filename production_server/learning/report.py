"""What the gate says of a version: a check for each thing that may be wrong with it. Kept with the version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import Field, ValidationError

from production_server.errors import InvalidInput
from production_server.models.manifest import Frozen
from production_server.shown import describe

REPORT_FILE = "report.json"


class Verdict(StrEnum):
    """What came of a check."""

    PASSED = "passed"
    FAILED = "failed"
    ALLOWED = "allowed"
    """It failed, and whoever asked said that this may be."""
    NOT_DONE = "not done"
    """There was nothing to hold it against."""


class CheckName(StrEnum):
    """What is checked; programs may rely on the names."""

    SIGNATURE = "signature"
    LOADS = "loads"
    PARITY = "parity"
    EDGES = "edges"
    METRICS = "metrics"
    LATENCY = "latency"
    MEMORY = "memory"


DESPITE = (CheckName.METRICS, CheckName.LATENCY, CheckName.MEMORY)
"""What may fail if somebody says so; that a signature may is said by `breaking`, and the others never may."""


def allowed_by(*, breaking: bool, despite: Iterable[str]) -> tuple[CheckName, ...]:
    """Which checks may fail, in the words of who asks.

    Raises:
        InvalidInput: something else than `DESPITE` is named.
    """
    names = [each.strip() for each in despite]
    known = {check.value for check in DESPITE}
    for name in names:
        if name not in known:
            raise InvalidInput.at("despite", f"any of {', '.join(sorted(known))}", describe(name))
    chosen = [CheckName(name) for name in names]
    return (*([CheckName.SIGNATURE] if breaking else []), *chosen)


class Check(Frozen):
    """One check: what was expected and what was found, for people; the numbers behind it for programs."""

    name: CheckName
    verdict: Verdict
    expected: str
    found: str
    numbers: dict[str, float] = Field(default_factory=dict)


class Report(Frozen):
    """All checks of one version, and the version that served when they were made."""

    model: str
    against: str | None
    """The version that served then; None: there was none."""
    at: datetime
    seconds: float
    """How long the checks took."""
    checks: tuple[Check, ...]

    @property
    def has_passed(self) -> bool:
        """Whether it may serve."""
        return not any(check.verdict == Verdict.FAILED for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """What keeps it from serving."""
        return tuple(check for check in self.checks if check.verdict == Verdict.FAILED)

    def lines(self) -> Iterator[str]:
        """The report as people read it, a check in a line."""
        against = f" against {self.against}" if self.against else ""
        yield f"The gate{against}, {self.seconds:.1f} s:"
        for check in self.checks:
            yield f"  {check.name.value:<9}  {check.verdict.value:<8}  {check.found}"
            if check.verdict in {Verdict.FAILED, Verdict.ALLOWED}:
                yield f"{'':23}expected {check.expected}"


def write_report(report: Report, folder: Path) -> None:
    """Put a report beside a version that is in the making.

    Raises:
        OSError: it cannot be written.
    """
    (folder / REPORT_FILE).write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_report(folder: Path) -> Report | None:
    """The report of a version; None: it came by no gate, or its report cannot be read."""
    try:
        return Report.model_validate_json((folder / REPORT_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
