"""Figures as Markdown tables, which can be read as they are and pasted into docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; its columns are aligned, for those who read it in a terminal."""
    lines = [list(header), *map(list, rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)


def number(value: float) -> str:
    """Three digits that mean something, thousands with a comma."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def errors(counts: dict[str, int]) -> str:
    """What went wrong, and how often; nothing if nothing did."""
    return ", ".join(f"{count:,} × {name}" for name, count in sorted(counts.items()))
