"""What stands in the way of a version that is to serve: its own report, held against what serves today."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from production_server.learning.report import REPORT_FILE, Check, CheckName, Measured, Report, read_report
from production_server.learning.signature import signature_check
from production_server.models.store import ModelVersion

_LASTING = frozenset((CheckName.LOADS, CheckName.PARITY, CheckName.EDGES))
"""What a version was found to be by itself, whatever it was held against."""


@dataclass(frozen=True, kw_only=True)
class PromotionGate:
    """Looks at versions that have their number, and at what the gate has said of them before. Safe to share."""

    margin: float
    """How much worse a version may be: `Settings.gate_margin`."""
    examine: Callable[[ModelVersion, ModelVersion], Report | None] | None = None
    """Runs both, where the report is of another time; blocks for seconds. None, or where it answers None: this process
    runs no foreign model, or not that one."""

    def hold(self, candidate: ModelVersion, stable: ModelVersion | None) -> Report:
        """The checks of a version that is to serve instead of `stable`; None: that is not here.

        Signatures are compared in any case. What was measured beside another version says nothing now: samples are held
        against each other where they are the same, and calls and memory are measured anew by `examine`. What somebody
        has let through before has failed here: whoever promotes may be somebody else.
        """
        own = kept_report(candidate)
        is_of_now = own is not None and stable is not None and is_against(own, stable)
        fresh = None
        if stable is not None and not is_of_now and self.examine is not None:
            fresh = self.examine(candidate, stable)
        return Report(
            model=candidate.manifest.name,
            against=None if stable is None else stable.manifest.version,
            against_sha256=None if stable is None else stable.sha256,
            at=datetime.now(UTC).replace(microsecond=0),
            seconds=0.0 if fresh is None else fresh.seconds,
            checks=tuple(
                self._check(name, candidate, stable, own=own, is_of_now=is_of_now, fresh=fresh).unless(())
                for name in CheckName
            ),
        )

    def _check(
        self,
        name: CheckName,
        candidate: ModelVersion,
        stable: ModelVersion | None,
        *,
        own: Report | None,
        is_of_now: bool,
        fresh: Report | None,
    ) -> Check:
        if name == CheckName.SIGNATURE:
            return signature_check(candidate, stable)
        if name == CheckName.METRICS and not is_of_now and stable is not None:
            return measured_metrics(candidate, own, stable, margin=self.margin)
        known = own if is_of_now else fresh or (own if name in _LASTING else None)
        found = None if known is None else known.check(name)
        return found or Check.not_done(name, "what the gate finds", _why_not(own, stable))


def measured_metrics(
    candidate: ModelVersion, own: Report | None, stable: ModelVersion, *, margin: float
) -> Check:
    """What both have lost on the same sample, each when it came in; without an interval, since not item by item.

    `own` is the report that says so of the candidate; that of `stable` is its own. It may be worse by `margin`.
    """
    expected = f"at most {margin:.3g} worse than the version that serves"
    number = stable.manifest.version
    if own is None:
        return Check.not_done(CheckName.METRICS, expected, _why_not(own, stable))
    mine, its = own.measured, measured_of(stable)
    if mine is None or its is None:
        whose = "it" if mine is None else f"version {number}"
        return Check.not_done(CheckName.METRICS, expected, f"no sample has said how good {whose} is")
    if mine.sha256 != its.sha256 or [*mine.values] != [*its.values]:
        why = f"version {number} was measured on another sample"
        return Check.not_done(CheckName.METRICS, expected, why)
    (name, metric), (other,) = next(iter(mine.values.items())), its.values.values()
    most = margin if candidate.task.loss_is_share else margin * other.mean
    return Check.judged(
        CheckName.METRICS,
        passed=metric.mean - other.mean <= most,
        expected=expected,
        found=(
            f"{name.replace('_', ' ')} {metric.mean:.4g} instead of {other.mean:.4g} on the same "
            f"{mine.items:,} items"
        ),
        candidate=metric.mean,
        stable=other.mean,
        items=mine.items,
        margin=most,
    )


def kept_report(version: ModelVersion) -> Report | None:
    """The report that is one of a version's files; None: it came by no gate.

    One that lies beside the files and is none of them was put there by somebody.
    """
    digest = version.manifest.files.get(REPORT_FILE)
    if digest is None:
        return None
    try:
        return _read_once(version.folder, digest.sha256)
    except FileNotFoundError:
        return None


@lru_cache(maxsize=4096)
def _read_once(folder: Path, _sha256: str) -> Report:
    """Lists of models show what samples said of each; a version never changes, and what is not there is not kept."""
    report = read_report(folder)
    if report is None:
        raise FileNotFoundError(folder)
    return report


def measured_of(version: ModelVersion) -> Measured | None:
    """How good a version was on the sample that it came with; None: nobody has tried it on one."""
    report = kept_report(version)
    return None if report is None else report.measured


def is_against(report: Report, stable: ModelVersion) -> bool:
    """Whether a report says how a version is beside `stable`, and not beside another one."""
    if report.against != stable.manifest.version:
        return False
    return report.against_sha256 in (None, stable.sha256)


def _why_not(own: Report | None, stable: ModelVersion | None) -> str:
    if stable is None:
        return "the version that serves is not here"
    if own is None:
        return "it came by no gate"
    against = "no version" if own.against is None else f"version {own.against}"
    return f"it was held against {against}, and version {stable.manifest.version} serves now"
