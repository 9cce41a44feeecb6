"""From what a client sent to checked items: every door that brings inputs goes through here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from production_server.errors import InvalidInput, TooLarge
from production_server.jobs.records import NewItem
from production_server.models.decoding import decoding_until
from production_server.models.store import ModelVersion
from production_server.models.table import Reading
from production_server.models.tasks.inputs import Inputs, gather
from production_server.models.truth_table import read_truth_table
from production_server.settings import Settings

MAX_NAME = 255
CHECK_S = 20.0
"""The images of one request are not looked at for longer; a phone's take a hundredth of a second each."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One uploaded file: the name that the client claims, and its bytes, which alone tell what it is."""

    name: str
    data: bytes


def items_from_json(
    version: ModelVersion, inputs: Iterable[Sequence[object]], settings: Settings
) -> list[NewItem]:
    """Inputs as JSON brings them, some at a time, as the model's task takes them.

    Raises:
        InvalidInput, TooLarge: no input is accepted; the first 20 faults are named, of those that came together.
        Unavailable: there is no time or no memory to look at the images (code `overloaded`).
    """
    items: list[NewItem] = []
    until = time.monotonic() + CHECK_S
    for some in inputs:
        _check_most(len(items) + len(some), settings, "inputs")
        with decoding_until(until):
            checked = version.task.inputs.check_json(
                some, first=len(items), max_pixels=settings.max_image_pixels
            )
        items += [NewItem(each.payload, None, None, each.outside_training_range) for each in checked]
    _check_least(len(items), "inputs")
    return items


def items_from_files(
    version: ModelVersion, uploads: Sequence[Upload], settings: Settings, *, truths: bytes | None = None
) -> list[NewItem]:
    """Uploaded files: an image is an item, a file of arrays has many. `truths` is a table of what is true of images.

    Raises:
        InvalidInput, TooLarge: no file is accepted; the first 20 faults are named.
        Unavailable: there is no time or no memory to look at all of them (code `overloaded`).
    """
    inputs = version.task.inputs
    if inputs.takes_tensors:
        if truths is not None:
            raise InvalidInput.at("truths", "nothing: of arrays no file says what is true", "a table")
        return _items_from_arrays(inputs, uploads, settings)
    if not inputs.takes_files:
        expected = f"{inputs.plural}: {version.manifest.name} takes no images"
        raise InvalidInput.at("file", expected, f"{len(uploads)} files")
    _check_least(len(uploads), "file")
    _check_most(len(uploads), settings, "file")
    told = {} if truths is None else _truths_of(uploads, read_truth_table(truths, version.task))
    with decoding_until(time.monotonic() + CHECK_S):
        items = gather(
            partial(_item_from_file, inputs, upload, index, settings) for index, upload in enumerate(uploads)
        )
    return [replace(item, expected=told.get(item.name or "")) for item in items] if told else items


def items_from_table(version: ModelVersion, data: bytes, settings: Settings) -> tuple[list[NewItem], Reading]:
    """A CSV of many rows, with the true outcomes if it has that column; and how it was read.

    Raises:
        InvalidInput, TooLarge: no row is accepted; the first 20 faults are named by line and column.
    """
    task = version.task
    table = task.inputs.check_table(data, max_rows=settings.max_job_items, truth=task)
    items = [NewItem(row.payload, None, row.expected, row.outside_training_range) for row in table.inputs]
    return items, table.reading


def safe_name(name: str) -> str:
    """A client's file name as one that can be stored and shown: no folders, no control characters, not too long."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = last if last.isprintable() else "".join(filter(str.isprintable, last))
    return kept[:MAX_NAME] or "unnamed"


def _items_from_arrays(inputs: Inputs, uploads: Sequence[Upload], settings: Settings) -> list[NewItem]:
    """What files of arrays hold; an item is called by its file and its place in it."""
    items: list[NewItem] = []
    for index, upload in enumerate(uploads):
        name = safe_name(upload.name)
        field = f"file[{index}] ({name})"
        checked = inputs.check_arrays(upload.data, field=field, max_items=settings.max_job_items - len(items))
        items += [
            NewItem(each.payload, f"{name[: MAX_NAME - 12]}[{place}]") for place, each in enumerate(checked)
        ]
    _check_least(len(items), "file")
    return items


def _item_from_file(inputs: Inputs, upload: Upload, index: int, settings: Settings) -> NewItem:
    name = safe_name(upload.name)
    inputs.check_file(upload.data, field=f"file[{index}] ({name})", max_pixels=settings.max_image_pixels)
    return NewItem(upload.data, name)


def _truths_of(uploads: Sequence[Upload], told: dict[str, str]) -> dict[str, str]:
    """What is told of these files, by the names that they are stored by.

    Raises:
        InvalidInput: none of them is in the table, or one name in it means several files.
    """
    counts = Counter(safe_name(upload.name) for upload in uploads)
    found = {name: truth for name, truth in told.items() if name in counts}
    if not found:
        got = f"{len(told)} other names" if told else "no truths"
        raise InvalidInput.at(
            "truths", f"names of the files that are sent, such as {next(iter(counts))}", got
        )
    for name in found:
        if counts[name] > 1:
            raise InvalidInput.at(
                "truths", f"names that mean one file each ({name})", f"{counts[name]} files"
            )
    return found


def _check_least(count: int, field: str) -> None:
    if count == 0:
        raise InvalidInput.at(field, "at least one input", "none")


def _check_most(count: int, settings: Settings, field: str) -> None:
    if count > settings.max_job_items:
        raise TooLarge.at(field, f"at most {settings.max_job_items} inputs in one job", str(count))
