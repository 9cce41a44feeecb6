"""What the gate says of a version: a check for each thing that may be wrong with it. Kept with the version."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError

from production_server.errors import Fault, GateClosed, InvalidInput
from production_server.models.manifest import Frozen, Metric, Sha256
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

    @classmethod
    def judged(cls, name: CheckName, *, passed: bool, expected: str, found: str, **numbers: float) -> Self:
        """A check that was made; numbers that are infinite or NaN are left out, since JSON has none."""
        verdict = Verdict.PASSED if passed else Verdict.FAILED
        finite = {each: float(number) for each, number in numbers.items() if math.isfinite(number)}
        return cls(name=name, verdict=verdict, expected=expected, found=found, numbers=finite)

    @classmethod
    def not_done(cls, name: CheckName, expected: str, found: str) -> Self:
        """A check for which there was nothing to hold the version against; `found` says why."""
        return cls(name=name, verdict=Verdict.NOT_DONE, expected=expected, found=found)

    @property
    def has_failed(self) -> bool:
        """Whether it failed, may it or not."""
        return self.verdict in {Verdict.FAILED, Verdict.ALLOWED}

    def unless(self, allowed: Collection[CheckName]) -> Self:
        """The check with its verdict; one that failed may, if it is among `allowed`, and only then."""
        if not self.has_failed:
            return self
        verdict = Verdict.ALLOWED if self.name in allowed else Verdict.FAILED
        return self.model_copy(update={"verdict": verdict})


class Measured(Frozen):
    """How good a version is on the sample that it came with."""

    data: str
    """The sample, for people: `150 rows of the sample`."""
    sha256: Sha256
    """Of what is in it, items and what is true of them: two that have it alike were measured on the same."""
    items: int
    """Those whose truth is known."""
    values: dict[str, Metric]
    """Means by their names, such as `error_rate`; their `std` is the standard error."""

    @property
    def told(self) -> str:
        """What was measured, for people: `error rate 0.04 ± 0.016`."""
        return ", ".join(
            f"{name.replace('_', ' ')} {metric.mean:.4g}"
            + ("" if metric.std is None else f" ± {metric.std:.2g}")
            for name, metric in self.values.items()
        )


class Report(Frozen):
    """All checks of one version, and the version that served when they were made."""

    model: str
    against: str | None
    """The version that served then; None: there was none."""
    against_sha256: Sha256 | None = None
    """Of that version's manifest, which tells it from one of that number elsewhere. None: there was no version, or an
    earlier release made the report."""
    at: datetime
    seconds: float
    """How long the checks took."""
    checks: tuple[Check, ...]
    measured: Measured | None = None
    """None: no sample said what is true."""

    @property
    def has_passed(self) -> bool:
        """Whether it may serve."""
        return not any(check.verdict == Verdict.FAILED for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """What keeps it from serving."""
        return tuple(check for check in self.checks if check.verdict == Verdict.FAILED)

    @property
    def unknown(self) -> list[str]:
        """Why checks were not done, each reason once."""
        return list(dict.fromkeys(check.found for check in self.checks if check.verdict == Verdict.NOT_DONE))

    @property
    def overridden(self) -> tuple[CheckName, ...]:
        """What has failed and may, because somebody said so."""
        return tuple(check.name for check in self.checks if check.verdict == Verdict.ALLOWED)

    def unless(self, allowed: Collection[CheckName]) -> Self:
        """The report with its verdicts; checks that failed may, if they are among `allowed`, and only then."""
        return self.model_copy(update={"checks": tuple(check.unless(allowed) for check in self.checks)})

    def check(self, name: CheckName) -> Check | None:
        """The check of that name; None: an earlier release had none."""
        return next((check for check in self.checks if check.name == name), None)

    def lines(self) -> Iterator[str]:
        """The report as people read it, a check in a line."""
        against = f" against {self.against}" if self.against else ""
        yield f"The gate{against}, {self.seconds:.1f} s:"
        for check in self.checks:
            yield f"  {check.name.value:<9}  {check.verdict.value:<8}  {check.found}"
            if check.has_failed:
                yield f"{'':23}expected {check.expected}"
        if self.measured:
            yield f"How good it is on {self.measured.data}: {self.measured.told}"


def refuse_failed(report: Report) -> None:
    """Keep a version that has failed from serving.

    Raises:
        GateClosed: it has; each fault is a check, and the message says which of them somebody may let it fail.
    """
    faults = tuple(Fault(check.name.value, check.expected, check.found) for check in report.failed)
    if not faults:
        return
    ways = [f"despite {check.name.value}" for check in report.failed if check.name in DESPITE]
    hint = f" (to let it through all the same, say {', '.join(ways)})" if ways else ""
    raise GateClosed("; ".join(map(str, faults)) + hint, faults)


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
