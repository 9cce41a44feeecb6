"""What was measured of everyone, as medians over rounds and as ratios to the best of the others."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.load import Load
from benchmarks.peers.catalogue import OWN
from benchmarks.processor import QUIET_CORES
from benchmarks.tables import errors, number, table


@dataclass(frozen=True)
class Measured:
    """One server, asked for one model by so many connections, in one round."""

    server: str
    model: str
    round: int
    load: Load
    resident_mib: float
    processor_s: float
    """What all its processes used of the processor meanwhile."""
    others_cores: float
    """What others used of the machine before it was started."""

    @property
    def processor_us(self) -> float:
        """Of processor for an answer."""
        return 1e6 * self.processor_s / max(1, self.load.statuses.get(200, 0))

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        shown = asdict(self.load) | {"answers_per_s": self.load.answers_per_s}
        return (
            {"server": self.server, "model": self.model, "round": self.round}
            | shown
            | {
                "resident_mib": self.resident_mib,
                "processor_us": self.processor_us,
                "others_cores": self.others_cores,
            }
        )


@dataclass(frozen=True)
class Ratio:
    """Ours to the best of the others: the median of the rounds, the least and the greatest; 2.0 is twice as much."""

    median: float
    least: float
    greatest: float
    best: str

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}–{self.greatest:.2f}), {self.best}"


class Comparison:
    """All that was measured. What a server did not live to answer is missing, and told as a dash."""

    def __init__(self, measured: Iterable[Measured]) -> None:
        self.measured = list(measured)
        self.models = _unique(each.model for each in self.measured)
        self.servers = _unique(each.server for each in self.measured)
        self.others = [server for server in self.servers if server not in OWN.values()]
        self.connections = sorted({each.load.connections for each in self.measured})

    def loads(self, server: str, model: str, connections: int) -> list[Load]:
        """The loads of all rounds."""
        wanted = (server, model, connections)
        return [
            each.load for each in self.measured if (each.server, each.model, each.load.connections) == wanted
        ]

    def figure(self, server: str, model: str, connections: int, name: str) -> float | None:
        """The median over the rounds of one of a load's figures; of the longest time, the longest."""
        values: list[float] = [getattr(load, name) for load in self.loads(server, model, connections)]
        if not values:
            return None
        return max(values) if name == "max_ms" else statistics.median(values)

    def ratio(self, ours: str, model: str, connections: int, name: str = "answers_per_s") -> Ratio | None:
        """One of ours by the best of the others in the same round; the best one's name is that of the best median."""
        best_of = max if name == "answers_per_s" else min
        ratios = []
        for here in self._rounds(model, connections, name):
            others = [value for server, value in here.items() if server in self.others and value]
            if ours in here and others:
                ratios.append(here[ours] / best_of(others))
        medians = {self.figure(server, model, connections, name): server for server in self.others}
        if not ratios:
            return None
        best = medians[best_of(value for value in medians if value)]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios), best)

    def _rounds(self, model: str, connections: int, name: str) -> list[dict[str, float]]:
        """One figure of each server that was measured, round by round."""
        rounds: dict[int, dict[str, float]] = {}
        for each in self.measured:
            if (each.model, each.load.connections) == (model, connections):
                rounds.setdefault(each.round, {})[each.server] = getattr(each.load, name)
        return list(rounds.values())

    def tables(self) -> str:
        """All of it in Markdown."""
        parts = [part for model in self.models for part in self._model(model)]
        return "\n\n".join([self._quiet(), self._ratios(), *parts])

    def _quiet(self) -> str:
        """Whether the figures are those of a machine that did nothing else."""
        shares = [each.others_cores for each in self.measured]
        loud = sum(share > QUIET_CORES for share in shares)
        most = f"others used {max(shares, default=0):.2f} cores at the most before a server was started"
        told = f"not quiet: {loud} of {len(shares)} points may be wrong" if loud else "quiet"
        return f"The machine was {told} ({most})."

    def _ratios(self) -> str:
        names = {"answers_per_s": "answers per second", "p50_ms": "p50 (less is better)"}
        rows = [
            [
                f"{ours}: `{model}`, {shown}",
                *(str(self.ratio(ours, model, at, name) or "–") for at in self.connections),
            ]
            for ours in OWN.values()
            if ours in self.servers
            for name, shown in names.items()
            for model in self.models
        ]
        return table(["ours / best of the others", *(f"at {count}" for count in self.connections)], rows)

    def _model(self, model: str) -> list[str]:
        at = [f"at {count}" for count in self.connections]
        rates = [
            [server, *self._cells(server, model, ["answers_per_s"]), self._memory(server, model)]
            for server in self.servers
        ]
        times = [
            [server, *self._cells(server, model, ["p50_ms", "p99_ms", "max_ms"])] for server in self.servers
        ]
        processor = [
            [server, *(self._processor(server, model, connections) for connections in self.connections)]
            for server in self.servers
        ]
        parts = [
            table([f"`{model}`: answers per second", *at, "memory"], rates),
            table([f"`{model}`: processor for an answer, µs", *at], processor),
            table([f"`{model}`: p50 / p99 / longest, ms", *at], times),
        ]
        return parts + self._errors(model)

    def _cells(self, server: str, model: str, names: Sequence[str]) -> list[str]:
        cells = []
        for connections in self.connections:
            values = [self.figure(server, model, connections, name) for name in names]
            cells.append(" / ".join(number(value) for value in values if value is not None) or "–")
        return cells

    def _processor(self, server: str, model: str, connections: int) -> str:
        wanted = (server, model, connections)
        used = [
            each.processor_us
            for each in self.measured
            if (each.server, each.model, each.load.connections) == wanted
        ]
        return number(statistics.median(used)) if used else "–"

    def _memory(self, server: str, model: str) -> str:
        held = [each.resident_mib for each in self.measured if (each.server, each.model) == (server, model)]
        return f"{statistics.median(held):,.0f} MiB" if held else "–"

    def _errors(self, model: str) -> list[str]:
        lines = []
        for server in self.servers:
            for connections in self.connections:
                counts: Counter[str] = Counter()
                for load in self.loads(server, model, connections):
                    counts.update(load.errors)
                if counts:
                    lines.append(f"- {server}, `{model}`, {connections} connections: {errors(counts)}")
        return ["Errors, all rounds together:\n\n" + "\n".join(lines)] if lines else []


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
