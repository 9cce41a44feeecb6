"""What is wrong with a form, as its page says it: in people's words, with the way to the field."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from production_server.errors import CeleriacError, Fault, InvalidInput
from production_server.web.pages.fields import FormField

_TABLE_PLACE = re.compile(r"csv line (.*)")
_TRUTH_PLACE = re.compile(r"truths(?: line (.*))?")
_FILE_PLACE = re.compile(r"file\[\d+\] \((.*)\)")
TABLE_FIELD = "table"
FILE_FIELD = "file"
TRUTHS_FIELD = "truths"


@dataclass(frozen=True, slots=True)
class ShownFault:
    """One line of the summary above a form; `target` is the id of the element to mend, or None."""

    place: str
    text: str
    target: str | None


def shown_faults(error: CeleriacError, fields: Sequence[FormField]) -> list[ShownFault]:
    """All that an error names, in its order; `fields` are those of the form of one row."""
    by_name = {field.feature.name: field for field in fields}
    if not isinstance(error, InvalidInput) or not error.faults:
        return [ShownFault("", str(error), None)]
    return [_shown(fault, by_name) for fault in error.faults]


def _shown(fault: Fault, fields: dict[str, FormField]) -> ShownFault:
    text = f"expected {fault.expected}, got {fault.got}"
    if fault.field in fields:
        return ShownFault(fields[fault.field].feature.label, text, fields[fault.field].id)
    if line := _TABLE_PLACE.fullmatch(fault.field):
        return ShownFault(f"Line {line[1]}", text, TABLE_FIELD)
    if name := _FILE_PLACE.fullmatch(fault.field):
        return ShownFault(name[1], text, FILE_FIELD)
    if truth := _TRUTH_PLACE.fullmatch(fault.field):
        line_of = f", line {truth[1]}" if truth[1] else ""
        return ShownFault(f"Table of truths{line_of}", text, TRUTHS_FIELD)
    place = {"csv": ("The table", TABLE_FIELD), "file": ("Images", FILE_FIELD), "form": ("The form", None)}
    label, target = place.get(fault.field, (fault.field, None))
    return ShownFault(label, text, target)
