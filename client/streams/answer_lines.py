"""Prints answers as they come: a table for people, lines of JSON or CSV for programs."""

from __future__ import annotations

import csv
import json
import sys
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Protocol

from client.files import inert
from client.output import on_one_line, outcome, print_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.streams.answers import Answer

_WIDTHS = {"MODEL": 16, "INPUT": 36, "PREDICTION": 22, "SCORE": 6, "LATENCY": 9, "NOTE": 4}
_OTHERS = sum(_WIDTHS.values()) - _WIDTHS["INPUT"] + 2 * len(_WIDTHS)
_SHORTEST_INPUT = 12
COLUMNS = (
    "id", "job", "index", "name", "model", "version", "state", "answer", "label", "score", "error",
    "latency_s", "place",
)  # fmt: skip


class AnswerLines(Protocol):
    """Prints answers on stdout."""

    def print(self, answers: Sequence[Answer]) -> None: ...


class TableLines:
    """A line for each, under the names of the columns. Cells keep their widths, since nobody knows what comes."""

    def __init__(self) -> None:
        self._has_header = False
        # On a terminal a name gets what the others leave.
        self._most = (
            max(_SHORTEST_INPUT, get_terminal_size().columns - _OTHERS) if sys.stdout.isatty() else None
        )

    def print(self, answers: Sequence[Answer]) -> None:
        if answers and not self._has_header:
            print_lines([_row(list(_WIDTHS), self._most)])
            self._has_header = True
        print_lines(_row(_cells(each), self._most) for each in answers)
        sys.stdout.flush()


class JsonLines:
    """A document for each, on a line of its own."""

    def print(self, answers: Sequence[Answer]) -> None:
        print_lines(json.dumps(each.as_json(), ensure_ascii=False) for each in answers)
        sys.stdout.flush()


class CsvLines:
    """A line for each, with a header."""

    def __init__(self) -> None:
        self._lines = csv.writer(sys.stdout, lineterminator="\n")
        self._lines.writerow(COLUMNS)

    def print(self, answers: Sequence[Answer]) -> None:
        for each in answers:
            result = each.result
            told = {} if result is None else {**vars(result), "label": result.label_text}
            told |= {"latency_s": each.latency_s, "place": each.message.place}
            self._lines.writerow([inert(_plain(told.get(name))) for name in COLUMNS])
        sys.stdout.flush()


def _plain(value: object) -> str | float | None:
    return value if value is None or isinstance(value, (str, float, int)) else str(value)


def _cells(answer: Answer) -> list[str]:
    latency = "" if answer.latency_s is None else f"{answer.latency_s * 1000:,.0f} ms"
    result, message = answer.result, answer.message
    if result is None:
        kind = message.headers.get("content-type", "no type")
        return ["", message.place, "", "", "", f"no result: {len(message.value):,} bytes, {kind}"]
    prediction, score, note = outcome(result)
    name = result.name or result.id or message.place
    return [result.model or "", name, prediction, score, latency, note]


def _row(cells: Sequence[str], most: int | None) -> str:
    """A line; with `most`, the input has so many characters, the last ones: of names and ids these differ."""
    widths = _WIDTHS if most is None else _WIDTHS | {"INPUT": min(most, _WIDTHS["INPUT"])}
    model, name, *others = map(on_one_line, cells)
    if most is not None and len(name) > most:
        name = f"…{name[1 - most :]}"
    padded = (f"{cell:<{width}}" for cell, width in zip([model, name, *others], widths.values(), strict=True))
    return "  ".join(padded).rstrip()
