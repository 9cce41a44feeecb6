"""Files of labels from outside, line by line: tables, lines of JSON, COCO's annotations, tasks of Label Studio.

What is wrong with one line is told of that line, and keeps none of the others back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit
from uuid import UUID

from production_server.errors import Fault, InvalidInput, TooLarge
from production_server.json_document import NotJson, read_json
from production_server.labels.records import ItemId
from production_server.models.table_text import DELIMITERS, HEAD_CHARACTERS, Writing, decode, lines_of
from production_server.shown import describe

FileFormat = Literal["csv", "jsonl", "coco", "label-studio"]
MOST_LINES = 100_000
MOST_INDEX = 2**31 - 1
LABEL_COLUMNS = ("label", "class", "target", "truth")
_SIGNS = tuple("=+-@")
NAME_COLUMNS = ("name", "file", "filename", "file_name", "image", "path")


@dataclass(frozen=True, slots=True)
class Told:
    """What a line says: which item, by itself, by where its input lies, or by its name; and its label."""

    where: str
    """As faults call it: `line 3`."""
    label: str
    item: ItemId | None = None
    url: str | None = None
    name: str | None = None


Line = Told | Fault


def read_labels_of(data: bytes, kind: FileFormat) -> Iterator[Line]:
    """What a file says, line by line.

    Raises:
        InvalidInput: it is no such file. TooLarge: it has too many lines.
    """
    for count, line in enumerate(_READERS[kind](data)):
        if count >= MOST_LINES:
            raise TooLarge.at("file", f"at most {MOST_LINES:,} labels", "more")
        yield line


def guess_format(data: bytes) -> FileFormat:
    """What a file is, as it begins."""
    head = data[:HEAD_CHARACTERS].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"["):
        return "label-studio"
    if not head.startswith(b"{"):
        return "csv"
    first = head.partition(b"\n")[0].strip()
    return "jsonl" if first.endswith(b"}") and b'"label"' in first and b'"images"' not in first else "coco"


def _csv(data: bytes) -> Iterator[Line]:
    text, encoding = decode(data)
    first = text[:HEAD_CHARACTERS].split("\n", 1)[0]
    writing = Writing(encoding, max(DELIMITERS, key=first.count), skips_spaces=False)
    lines = lines_of(text, writing)
    header = [cell.strip().lower() for cell in next(lines, (1, []))[1]]
    if not set(header) & set(LABEL_COLUMNS) or not set(header) & {"job", "url", *NAME_COLUMNS}:
        expected = "a first line with names: label, and job and index, url, or name"
        raise InvalidInput.at("file line 1", expected, describe(first[:80]))
    while True:
        try:
            found = next(lines, None)
        except InvalidInput as exc:
            # Where quotes do not fit together nobody knows where the next line begins.
            yield exc.faults[0] if exc.faults else Fault("file", "a table", str(exc))
            return
        if found is None:
            return
        line, cells = found
        row = {
            name: _unmarked(cell.strip()) for name, cell in zip(header, cells, strict=False) if cell.strip()
        }
        yield _told(f"line {line}", row)


def _jsonl(data: bytes) -> Iterator[Line]:
    for number, text in enumerate(data.split(b"\n"), 1):
        if not text.strip():
            continue
        where = f"line {number}"
        try:
            value = read_json(text)
        except (NotJson, TooLarge) as exc:
            yield Fault(where, "a JSON object", str(exc)[:100])
            continue
        if not isinstance(value, dict):
            yield Fault(where, "a JSON object", describe(value))
            continue
        yield _told(where, {str(name).lower(): each for name, each in value.items() if each is not None})


def _told(where: str, row: Mapping[str, Any]) -> Line:
    """What a row says, whose cells have names in small letters."""
    label = _first(row, LABEL_COLUMNS)
    if not isinstance(label, str) or not label:
        return Fault(where, "a label", "none" if label is None else describe(label))
    if any(isinstance(each, str) and "\0" in each for each in row.values()):
        return Fault(where, "text without zero bytes", "some")
    if "job" in row:
        return _by_itself(where, label, row["job"], row.get("index"))
    url, name = row.get("url"), _first(row, NAME_COLUMNS)
    if isinstance(url, str) and url:
        return Told(where, label, url=url)
    if isinstance(name, str) and name:
        return Told(where, label, name=_base(name))
    return Fault(where, "job and index, url, or name", "none of them")


def _by_itself(where: str, label: str, job: object, index: object) -> Line:
    try:
        which = ItemId(UUID(str(job)), int(str(index)))
    except ValueError:
        return Fault(where, "the id of a job, and an index", f"{describe(job)}, {describe(index)}")
    if not 0 <= which.idx <= MOST_INDEX:
        return Fault(where, f"an index from 0 to {MOST_INDEX}", describe(index))
    return Told(where, label, item=which)


def _coco(data: bytes) -> Iterator[Line]:
    """COCO's `images`, `annotations` and `categories`; an image of two categories has no one label."""
    document = _document(data)
    if not isinstance(document, dict) or not all(
        isinstance(document.get(name), list) for name in ("images", "annotations", "categories")
    ):
        raise InvalidInput.at("file", "COCO: an object with images, annotations and categories", "another")
    categories = {_id(each, "id"): _key(each, "name") for each in document["categories"]}
    labels: dict[str, set[str]] = defaultdict(set)
    for each in document["annotations"]:
        name = categories.get(_id(each, "category_id"))
        if isinstance(name, str):
            labels[_id(each, "image_id")].add(name)
    for number, image in enumerate(document["images"], 1):
        found = sorted(labels.get(_id(image, "id"), ()))
        where = f"image {number}"
        if len(found) != 1:
            yield Fault(where, "one category", ", ".join(found)[:100] or "none that is known")
            continue
        file, url = _key(image, "file_name"), _key(image, "coco_url")
        told = {"label": found[0], "job": _key(image, "job"), "index": _key(image, "index")}
        told |= {"url": url, "name": file}
        yield _told(where, {name: each for name, each in told.items() if each is not None})


def _label_studio(data: bytes) -> Iterator[Line]:
    """Tasks of Label Studio, as it exports them; of several annotations the last one that was not cancelled counts."""
    document = _document(data)
    if not isinstance(document, list):
        raise InvalidInput.at("file", "a list of Label Studio's tasks", describe(document))
    for number, task in enumerate(document, 1):
        where = f"task {number}"
        label = _choice_of(task)
        told = _key(task, "data")
        if label is None or not isinstance(told, dict):
            yield Fault(where, "data, and an annotation with one choice", "another")
            continue
        address = told.get("image") or told.get("url")
        row: dict[str, Any] = {"label": label}
        row |= {name: told[name] for name in ("job", "index") if told.get(name) is not None}
        if isinstance(address, str):
            is_object = urlsplit(address).scheme in ("s3", "gs", "az", "file")
            row |= {"url": address} if is_object else {"name": _sent_name(address)}
        yield _told(where, row)


def _choice_of(task: object) -> str | None:
    """The one choice of a task, if there is one."""
    annotations = _key(task, "annotations")
    for each in reversed(annotations if isinstance(annotations, list) else []):
        if _key(each, "was_cancelled"):
            continue
        results = _key(each, "result")
        choices = [
            choice
            for result in (results if isinstance(results, list) else [])
            for choice in _choices_in(_key(result, "value"))
        ]
        return choices[0] if len(choices) == 1 and isinstance(choices[0], str) else None
    return None


def _choices_in(value: object) -> list[Any]:
    found = _key(value, "choices")
    return found if isinstance(found, list) else []


def _sent_name(address: str) -> str:
    """A file's name, without the eight digits that Label Studio puts before those that are sent to it."""
    name = _base(unquote(urlsplit(address).path))
    head, dash, rest = name.partition("-")
    is_put_before = dash and rest and len(head) == 8 and all(each in "0123456789abcdef" for each in head)
    return rest if is_put_before and "/upload/" in address else name


def _document(data: bytes) -> Any:
    try:
        return read_json(data)
    except NotJson as exc:
        raise InvalidInput.at("file", exc.expected, exc.got, code="malformed_json") from exc


def _key(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _id(value: object, name: str) -> str:
    """Of whatever kind ids are."""
    return repr(_key(value, name))


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if name in row), None)


def _unmarked(cell: str) -> str:
    """A cell without the mark that our downloads put before what a spreadsheet would take for a formula."""
    return cell[1:] if cell.startswith("'") and cell[1:2] in _SIGNS else cell


def _base(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


_READERS: Mapping[FileFormat, Callable[[bytes], Iterator[Line]]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "coco": _coco,
    "label-studio": _label_studio,
}
