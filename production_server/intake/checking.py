"""From what a client sent to checked items: every door that brings inputs goes through here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from production_server.errors import MAX_FAULTS, Fault, InvalidInput, TooLarge
from production_server.jobs.records import NewItem
from production_server.models.images import check_image, encode_pixels
from production_server.models.manifest import ImagePreprocessing
from production_server.models.store import ModelVersion
from production_server.models.table import parse_table
from production_server.models.tabular import check_rows, describe
from production_server.settings import Settings

MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class Upload:
    """One uploaded file: the name and media type that the client claims, and its bytes."""

    name: str
    media_type: str
    data: bytes


def items_from_json(version: ModelVersion, inputs: Sequence[object], settings: Settings) -> list[NewItem]:
    """Inputs as JSON brings them: rows for a tabular model; nested pixels or {"b64": "…"} for an image model.

    Raises:
        InvalidInput, TooLarge: no input is accepted; the first 20 faults are named.
    """
    _check_count(len(inputs), settings, "inputs")
    image = version.manifest.image
    if image is None:
        rows = check_rows(version.manifest, inputs)
        return [NewItem(row.to_bytes(), None, None, row.outside_training_range) for row in rows]
    return _collect(
        partial(_image_from_json, item, image, f"inputs[{index}]", settings)
        for index, item in enumerate(inputs)
    )


def items_from_files(version: ModelVersion, uploads: Sequence[Upload], settings: Settings) -> list[NewItem]:
    """Uploaded image files.

    Raises:
        InvalidInput, TooLarge: no file is accepted; the first 20 faults are named.
    """
    if version.manifest.is_tabular:
        raise InvalidInput.at(
            "file", f"rows of numbers: {version.manifest.name} takes no images", f"{len(uploads)} files"
        )
    _check_count(len(uploads), settings, "file")
    return _collect(
        partial(_image_from_file, upload, index, settings) for index, upload in enumerate(uploads)
    )


def items_from_table(version: ModelVersion, data: bytes, settings: Settings) -> list[NewItem]:
    """A CSV of many rows, with the true outcomes if it has that column.

    Raises:
        InvalidInput, TooLarge: no row is accepted; the first 20 faults are named by line and column.
    """
    if not version.manifest.is_tabular:
        raise InvalidInput.at("csv", f"image files: {version.manifest.name} takes no rows", "a table")
    table = parse_table(version.manifest, data, max_rows=settings.max_job_items)
    expected = table.expected or [None] * len(table.rows)
    return [
        NewItem(row.to_bytes(), None, label, row.outside_training_range)
        for row, label in zip(table.rows, expected, strict=True)
    ]


def safe_name(name: str) -> str:
    """A client's file name as one that can be stored and shown: no folders, no control characters, not too long."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = last if last.isprintable() else "".join(filter(str.isprintable, last))
    return kept[:MAX_NAME] or "unnamed"


def _collect(makers: Iterable[Callable[[], NewItem]]) -> list[NewItem]:
    """Make each item; gather faults instead of stopping at the first one."""
    items: list[NewItem] = []
    first: InvalidInput | None = None
    faults: list[Fault] = []
    for make in makers:
        try:
            items.append(make())
        except InvalidInput as exc:
            first = first or exc
            faults += exc.faults
            if len(faults) >= MAX_FAULTS:
                break
    if first is None:
        return items
    if len(faults) == 1:
        raise first
    raise type(first)(f"{len(faults)} inputs cannot be used", tuple(faults), code=first.code)


def _image_from_file(upload: Upload, index: int, settings: Settings) -> NewItem:
    name = safe_name(upload.name)
    check_image(
        upload.data,
        field=f"file[{index}] ({name})",
        max_pixels=settings.max_image_pixels,
        declared_type=upload.media_type,
    )
    return NewItem(upload.data, name)


def _image_from_json(item: object, image: ImagePreprocessing, field: str, settings: Settings) -> NewItem:
    if isinstance(item, list):
        return NewItem(encode_pixels(item, image, field=field))
    if not isinstance(item, dict) or set(item) != {"b64"} or not isinstance(item["b64"], str):
        expected = f'pixels [{image.height}][{image.width}] or {{"b64": "an image file in Base64"}}'
        raise InvalidInput.at(field, expected, describe(item))
    try:
        data = base64.b64decode(item["b64"], validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidInput.at(
            f"{field}.b64", "an image file in Base64 (RFC 4648, section 4)", str(exc)
        ) from exc
    check_image(data, field=f"{field}.b64", max_pixels=settings.max_image_pixels)
    return NewItem(data)


def _check_count(count: int, settings: Settings, field: str) -> None:
    if count == 0:
        raise InvalidInput.at(field, "at least one input", "none")
    if count > settings.max_job_items:
        raise TooLarge.at(field, f"at most {settings.max_job_items} inputs in one job", str(count))
