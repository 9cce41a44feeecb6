"""What is true of files, as a CSV of their names and the truths: `file,label`, then a line for each."""

from __future__ import annotations

from production_server.errors import MAX_FAULTS, Fault, InvalidInput
from production_server.models.table import Truth
from production_server.models.table_text import DELIMITERS, HEAD_CHARACTERS, Writing, decode, lines_of
from production_server.shown import describe

NAMES_OF_FILES = ("file", "filename", "image", "name")
"""What the first column may be called."""


def read_truth_table(data: bytes, truth: Truth) -> dict[str, str]:
    """What is true, by the names of the files without their folders; a line without a truth says nothing.

    Raises:
        InvalidInput: it is no such table, or tells two truths of one name; names the first 20 faults by line.
    """
    try:
        text, encoding = decode(data)
    except InvalidInput as exc:
        raise InvalidInput.at("truths", "a CSV table as text", str(exc).removeprefix("csv: ")) from exc
    first = text[:HEAD_CHARACTERS].split("\n", 1)[0]
    writing = Writing(encoding, max(DELIMITERS, key=first.count), skips_spaces=False)
    lines = lines_of(text, writing)
    header = next(lines, (1, []))[1]
    if len(header) != 2 or header[0].strip().lower() not in NAMES_OF_FILES:
        expected = f"a first line with two names, such as file{writing.delimiter}label"
        raise InvalidInput.at("truths line 1", expected, describe(first[:80]))
    found: dict[str, str] = {}
    faults: list[Fault] = []
    for line, cells in lines:
        fault = _take(found, cells, truth)
        if fault is not None:
            faults.append(Fault(f"truths line {line}", *fault))
        if len(faults) >= MAX_FAULTS:
            break
    if faults:
        raise InvalidInput("truths: not a table of what is true; nothing was accepted", tuple(faults))
    return found


def _take(found: dict[str, str], cells: list[str], truth: Truth) -> tuple[str, str] | None:
    """Take one line; what was expected and what it has instead, if it cannot be."""
    if len(cells) != 2:
        return "a name and what is true", f"{len(cells)} cells"
    name, told = cells[0].strip().replace("\\", "/").rpartition("/")[2], cells[1].strip()
    if not name:
        return "the name of a file", "none"
    if not told:
        return None
    meant = truth.read_truth(told)
    if meant is None:
        return f"of {name}: {truth.truths}", describe(told)
    if found.setdefault(name, meant) != meant:
        return f"one truth of {name}", "two that differ"
    return None
