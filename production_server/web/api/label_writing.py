"""Labels written as files: a table, lines of JSON, pictures in folders, COCO, tasks of Label Studio."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from production_server.errors import CeleriacError
from production_server.intake.label_files import folder_of
from production_server.labels.labelled import digest_of, inputs_of, suffix_of
from production_server.labels.records import ItemId, Label
from production_server.models.images import size_of
from production_server.models.tasks.task import Task
from production_server.storage.objects import Reference
from production_server.web.api.downloads import csv_line
from production_server.web.api.objects import fetch
from production_server.web.api.schemas import to_time
from production_server.web.edge.parts import WebParts

COLUMNS = ("job", "index", "name", "url", "label", "predicted", "score", "version", "who", "at")
MISSING = "missing.csv"
_AT_ONCE = 200


def as_csv(parts: WebParts, task: Task, labels: Iterator[Label]) -> Iterator[str]:
    """A table; of rows the numbers that went in stand behind."""
    features = task.inputs.columns()
    yield csv_line([*COLUMNS, *features])
    for some in _batches(labels):
        found = dict(inputs_of(parts.database, [each.item for each in some])) if features else {}
        for each in some:
            row = found.get(each.item)
            yield csv_line([*_cells(each), *(task.inputs.cells(row) if isinstance(row, bytes) else ())])


def as_json_lines(parts: WebParts, labels: Iterator[Label]) -> Iterator[str]:
    """An object in each line."""
    yield ""  # so that the status is sent with nothing to say, too
    for some in _batches(labels):
        by_item = {each.item: each for each in some}
        for which, found in inputs_of(parts.database, list(by_item)):
            told = dict(zip(COLUMNS, _values(by_item[which]), strict=True))
            yield json.dumps({**told, "sha256": digest_of(found).hex()}, ensure_ascii=False) + "\n"


def as_zip(parts: WebParts, labels: Iterator[Label]) -> Iterator[bytes]:
    """A folder for each label, and a table of what cannot be had."""
    written = _Written()
    missing = [csv_line(("job", "index", "url", "error"))]
    with zipfile.ZipFile(written, "w") as archive:
        for some in _batches(labels):
            by_item = {each.item: each for each in some}
            for which, found in inputs_of(parts.database, list(by_item)):
                try:
                    data = fetch(parts, found) if isinstance(found, Reference) else found
                except CeleriacError as exc:
                    missing.append(csv_line([which.job_id, which.idx, by_item[which].url or "", str(exc)]))
                    continue
                archive.writestr(zipfile.ZipInfo(_path_of(by_item[which], data)), data)
                yield written.taken()
        if len(missing) > 1:
            archive.writestr(zipfile.ZipInfo(MISSING), "".join(missing))
    yield written.taken()


def as_coco(parts: WebParts, labels: Iterator[Label]) -> Iterator[str]:
    """COCO's `images`, `annotations` and `categories`; of pictures in buckets no sizes are known."""
    categories: dict[str, int] = {}
    annotations: list[dict[str, Any]] = []
    yield '{"info": {"description": "Celeriac"}, "licenses": [], "images": ['
    for some in _batches(labels):
        by_item = {each.item: each for each in some}
        for which, found in inputs_of(parts.database, list(by_item)):
            each, number = by_item[which], len(annotations) + 1
            category = categories.setdefault(each.label, len(categories) + 1)
            size = _size(parts, found)
            annotations.append(_annotation(number, category, size))
            data = found if isinstance(found, bytes) else b""
            image: dict[str, Any] = {"id": number, "file_name": _path_of(each, data)} | _place(which)
            image |= {} if size is None else {"width": size[0], "height": size[1]}
            image |= {} if each.url is None else {"coco_url": each.url}
            yield (", " if number > 1 else "") + json.dumps(image)
    named = [{"id": number, "name": label, "supercategory": ""} for label, number in categories.items()]
    yield f'], "annotations": {json.dumps(annotations)}, "categories": {json.dumps(named)}}}'


def as_label_studio(labels: Iterator[Label]) -> Iterator[str]:
    """A list of tasks, as Label Studio imports them."""
    yield "["
    for number, each in enumerate(labels, 1):
        data = {"image": each.url or each.name or ""} | _place(each.item)
        task: dict[str, Any] = {
            "id": number,
            "data": data,
            "annotations": [{"result": [_choice(each.label)]}],
        }
        if each.predicted is not None:
            told = {"model_version": each.version, "score": each.score, "result": [_choice(each.predicted)]}
            task["predictions"] = [told]
        yield (", " if number > 1 else "") + json.dumps(task)
    yield "]"


class _Written(io.RawIOBase):
    """What `zipfile` has written and nobody has sent yet."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """All of it."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def _batches(labels: Iterable[Label]) -> Iterator[list[Label]]:
    rest = iter(labels)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def _values(each: Label) -> list[Any]:
    at = None if each.at is None else to_time(each.at).isoformat(timespec="milliseconds")
    return [
        str(each.item.job_id), each.item.idx, each.name, each.url, each.label, each.predicted, each.score,
        each.version, each.who, at,
    ]  # fmt: skip


def _cells(each: Label) -> list[object]:
    return ["" if value is None else value for value in _values(each)]


def _path_of(each: Label, data: bytes) -> str:
    """Where a picture lies in the archive: by its job and index, since many may have one name."""
    return f"{folder_of(each.label)}/{each.item.job_id}-{each.item.idx}.{suffix_of(data) or 'img'}"


def _size(parts: WebParts, found: bytes | Reference) -> tuple[int, int] | None:
    if isinstance(found, Reference):
        return None
    try:
        return size_of(found, max_pixels=parts.settings.max_image_pixels)
    except CeleriacError:
        return None


def _annotation(number: int, category: int, size: tuple[int, int] | None) -> dict[str, Any]:
    told: dict[str, Any] = {"id": number, "image_id": number, "category_id": category, "iscrowd": 0}
    return told if size is None else told | {"bbox": [0, 0, *size], "area": size[0] * size[1]}


def _place(which: ItemId) -> dict[str, Any]:
    """By which an import here finds the item again."""
    return {"job": str(which.job_id), "index": which.idx}


def _choice(label: str) -> dict[str, Any]:
    return {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [label]}}
