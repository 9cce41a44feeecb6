"""The gate: what every version passes before it serves, held against the one that serves now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from production_server.confined.process import Program
from production_server.errors import CeleriacError, ImportStopped, InvalidInput
from production_server.learning import measuring
from production_server.learning.comparing import Difference, compare_losses
from production_server.learning.probing import Probe, probe
from production_server.learning.report import Check, CheckName, Measured, Report
from production_server.learning.signature import differences, signature_check
from production_server.models.importing.parity import edge_notes, inputs_for
from production_server.models.importing.sample import Sample
from production_server.models.store import ModelVersion

MEMORY_SLACK_BYTES = 64 * 2**20
"""What processes differ by for reasons that are not the model's."""
LOOKS = 3
"""So often calls are timed of what seems too slow; the quickest look of each counts."""
LATENCY_SLACK_S = {"p50": 0.0005, "p99": 0.005}
"""So do times of calls; of a model that answers at once that is more than all it takes."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far a version may be behind the one that serves: `Settings` of the same names say it."""

    margin: float
    latency: float
    memory: float


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Looks at versions. `program` says with which Python, and within which limits, they run."""

    program: Callable[[ModelVersion], Program]
    bounds: Bounds
    allowed: Collection[CheckName] = ()
    """What may fail, because somebody said so."""
    say: Callable[[str], None] = lambda _text: None
    stopping: threading.Event | None = None
    """Set when nobody waits any more."""
    scratch: Path | None = None
    """Where probes may write; None: beside the candidate, which is a draft."""

    def examine(self, candidate: ModelVersion, stable: ModelVersion | None, sample: Sample | None) -> Report:
        """All checks; blocks for seconds. `sample` is what both are tried on, and held against where it is labelled.

        Raises:
            ImportStopped: nobody waits for it any more.
        """
        began = time.monotonic()
        with ExitStack() as stack:
            examination = _Examination(self, candidate, stable, sample, stack)
            checks = [check.unless(self.allowed) for check in examination.checks()]
        return Report(
            model=candidate.manifest.name,
            against=None if stable is None else stable.manifest.version,
            against_sha256=None if stable is None else stable.sha256,
            at=datetime.now(UTC).replace(microsecond=0),
            seconds=round(time.monotonic() - began, 3),
            checks=tuple(checks),
            measured=examination.measured,
        )


@dataclass
class _Examination:
    """One candidate on its way through the gate."""

    gate: Gate
    candidate: ModelVersion
    stable: ModelVersion | None
    sample: Sample | None
    stack: ExitStack
    measured: Measured | None = field(default=None, init=False)
    _own: Probe | None = field(default=None, init=False)
    _others: Probe | None = field(default=None, init=False)

    def checks(self) -> Iterator[Check]:
        yield signature_check(self.candidate, self.stable)
        yield self._loads()
        yield self._parity()
        yield from self._with_it(CheckName.EDGES, self._edges)
        self._load_stable()
        for name, check in (
            (CheckName.METRICS, self._metrics),
            (CheckName.LATENCY, self._latency),
            (CheckName.MEMORY, self._memory),
        ):
            yield from self._with_it(name, check)

    def _loads(self) -> Check:
        runner = self.candidate.manifest.runner
        expected = f"a version that the {runner} runner loads and runs"
        self.gate.say("Loading it as a worker does")
        try:
            self._own = self._probe(self.candidate)
        except ImportStopped:
            raise
        except CeleriacError as exc:
            return Check.judged(CheckName.LOADS, passed=False, expected=expected, found=str(exc))
        found = f"loaded in {self._own.load_s:.2f} s by the {runner} runner"
        return Check.judged(
            CheckName.LOADS, passed=True, expected=expected, found=found, seconds=self._own.load_s
        )

    def _parity(self) -> Check:
        parity, expected = self.candidate.manifest.parity, "answers as those of the original"
        quantized = self.candidate.manifest.quantized
        if quantized is not None:
            # As below: what differs by more has become no version.
            expected = f"answers as those of version {quantized.version}, in whole numbers"
            return Check.judged(CheckName.PARITY, passed=True, expected=expected, found=quantized.told)
        if parity is None:
            return Check.not_done(CheckName.PARITY, expected, "its manifest tells of no comparison")
        apart = parity.max_abs_difference
        how = f"{apart:.1e} at most" if apart else "the same numbers"
        found = f"{how}, on {parity.inputs:,} {parity.drawn} inputs"
        # Whoever has made the version refuses one that differs: what is in the manifest has passed.
        return Check.judged(
            CheckName.PARITY,
            passed=True,
            expected=expected,
            found=found,
            difference=parity.max_abs_difference,
        )

    def _edges(self, own: Probe) -> Check:
        expected = "numbers, for zeros and at the ends of the ranges"
        try:
            notes = edge_notes(self.candidate.manifest, own.run)
        except InvalidInput as exc:
            return Check.judged(CheckName.EDGES, passed=False, expected=expected, found=exc.faults[0].got)
        return Check.judged(
            CheckName.EDGES, passed=True, expected=expected, found=" ".join(notes) or "numbers"
        )

    def _load_stable(self) -> None:
        if self.stable is None or self._own is None:
            return
        try:
            self._others = self._probe(self.stable)
        except ImportStopped:
            raise
        except CeleriacError:
            # That it does not load is no fault of the candidate's.
            self._others = None

    def _metrics(self, own: Probe) -> Check:
        bounds = self.gate.bounds
        expected = f"at most {bounds.margin:.3g} worse than the version that serves"
        others, why = self._comparable()
        mine = measuring.losses(own, self.sample)
        if mine is None or self.sample is None:
            return Check.not_done(CheckName.METRICS, expected, "no sample says what is true")
        self.measured = measuring.measured(self.candidate, self.sample, mine)
        name, is_share = self.candidate.task.loss_name, self.candidate.task.loss_is_share
        if others is None:
            return Check.not_done(
                CheckName.METRICS, expected, f"{name} {mine.mean():.4g} on {len(mine):,} items; {why}"
            )
        self.gate.say("Comparing it with the version that serves")
        its = measuring.losses(others, self.sample)
        if its is None:
            return Check.not_done(CheckName.METRICS, expected, "the version that serves knows no such truths")
        found = compare_losses(mine, its)
        margin = bounds.margin if is_share else bounds.margin * found.stable
        return Check.judged(
            CheckName.METRICS,
            passed=found.mean <= margin,
            expected=expected,
            found=(
                f"{name} {found.candidate:.4g} instead of {found.stable:.4g} on {found.items:,} items"
                + _told(found)
            ),
            candidate=found.candidate,
            stable=found.stable,
            low=found.low,
            high=found.high,
            items=found.items,
            margin=margin,
        )

    def _latency(self, own: Probe) -> Check:
        expected = f"at most {self.gate.bounds.latency:g} times as long as the version that serves"
        if self._others is None:
            return Check.not_done(CheckName.LATENCY, expected, self._why_alone())
        self.gate.say("Timing it beside the version that serves")
        pairs = (
            (own, inputs_for(self.candidate.manifest, self.sample).tensors),
            (self._others, inputs_for(self._others.version.manifest, None).tensors),
        )
        times: dict[str, float] = {}
        # A neighbour on the machine, who only ever makes calls slower, is no fault of the candidate's.
        for _ in range(LOOKS):
            seen = measuring.times_of(*pairs)
            times = {name: min(times.get(name, seconds), seconds) for name, seconds in seen.items()}
            passed = all(
                times[f"candidate_{each}"] <= self.gate.bounds.latency * times[f"stable_{each}"] + slack
                for each, slack in LATENCY_SLACK_S.items()
            )
            if passed:
                break
        found = ", ".join(
            f"{each} {times[f'candidate_{each}'] * 1e3:.3g} instead of {times[f'stable_{each}'] * 1e3:.3g} ms"
            for each in LATENCY_SLACK_S
        )
        return Check.judged(CheckName.LATENCY, passed=passed, expected=expected, found=found, **times)

    def _memory(self, own: Probe) -> Check:
        expected = f"at most {self.gate.bounds.memory:g} times as much as the version that serves"
        if self._others is None:
            return Check.not_done(CheckName.MEMORY, expected, self._why_alone())
        mine, its = own.loaded_bytes, self._others.loaded_bytes
        return Check.judged(
            CheckName.MEMORY,
            passed=mine <= self.gate.bounds.memory * its + MEMORY_SLACK_BYTES,
            expected=expected,
            found=f"{mine / 2**20:.1f} instead of {its / 2**20:.1f} MB once it is loaded",
            candidate_bytes=mine,
            stable_bytes=its,
        )

    def _with_it(self, name: CheckName, check: Callable[[Probe], Check]) -> Iterator[Check]:
        """A check that needs the candidate to run; that it does not any more is that check's fault."""
        if self._own is None:
            yield Check.not_done(name, "a version that loads", "it does not load")
            return
        try:
            yield check(self._own)
        except ImportStopped:
            raise
        except CeleriacError as exc:
            yield Check.judged(name, passed=False, expected="a version that goes on running", found=str(exc))

    def _comparable(self) -> tuple[Probe | None, str]:
        if self._others is None or self.stable is None:
            return None, self._why_alone()
        if differences(self.candidate.manifest, self.stable.manifest):
            return None, "the version that serves takes or answers something else"
        return self._others, ""

    def _why_alone(self) -> str:
        return "it is the first version" if self.stable is None else "the version that serves does not load"

    def _probe(self, version: ModelVersion) -> Probe:
        scratch = self.gate.scratch or self.candidate.folder
        return self.stack.enter_context(
            probe(self.gate.program(version), version, scratch, stopping=self.gate.stopping)
        )


def _told(found: Difference) -> str:
    if not (found.mean or found.low or found.high):
        return ": the same on each"
    return f": {found.mean:+.4g}, between {found.low:+.4g} and {found.high:+.4g} (95 %)"
