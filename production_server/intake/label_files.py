"""Archives of labelled pictures: a folder for each label, or a file of annotations with the pictures it names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote

from production_server.errors import Fault, InvalidInput
from production_server.intake.checking import Upload, items_from_files
from production_server.jobs.records import NewItem
from production_server.labels.answers import read_answer
from production_server.labels.files import Line, Told, guess_format, read_labels_of
from production_server.models.importing.archives import is_visible, unpack
from production_server.models.store import ModelVersion
from production_server.settings import Settings

MOST_BYTES_TIMES = 4
"""An archive has at most so many times the bytes of the largest body when it is unpacked."""
_PLAIN = " !#$&'()+,;=@[]{}~"
"""What folders may be called, beside letters and digits, on every system that people unpack on."""


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A file of an archive, and the label that it has there."""

    where: str
    path: Path
    label: str


def folder_of(label: str) -> str:
    """A name for the folder of a label: what leads elsewhere, or is no name, is written with percent signs."""
    name = quote(label, safe=_PLAIN)
    return name.replace(".", "%2E") if name.strip(". ") != name else name


def unpacked(archive: Path, into: Path, settings: Settings) -> Iterator[LabelledPicture | Line]:
    """What an archive says: its pictures, and lines of its annotations about pictures that are not in it.

    Raises:
        InvalidInput, TooLarge: as `unpack`, or it holds no labels.
    """
    most = settings.max_body_bytes * MOST_BYTES_TIMES
    unpack(archive, into, most_bytes=most, most_files=settings.max_job_items + 1_000)
    files = [
        path for path in sorted(into.rglob("*")) if path.is_file() and is_visible(str(path.relative_to(into)))
    ]
    annotations = [path for path in files if path.suffix.lower() == ".json"]
    if len(annotations) == 1:
        return _annotated(annotations[0], [path for path in files if path not in annotations])
    return _in_folders(into, files)


def checked_items(
    version: ModelVersion, found: Sequence[LabelledPicture], settings: Settings, *, is_new: bool
) -> tuple[list[NewItem], list[LabelledPicture], list[Fault]]:
    """Items of pictures, each with its own; of those that cannot be used, why.

    Raises:
        Unavailable: there is no time or no memory to look at one (code `overloaded`).
    """
    items: list[NewItem] = []
    taken: list[LabelledPicture] = []
    faults: list[Fault] = []
    for picture in found:
        try:
            label = read_answer(version.task, picture.label, is_new=is_new)
            (item,) = items_from_files(
                version, [Upload(picture.path.name, picture.path.read_bytes())], settings
            )
        except InvalidInput as exc:
            first = exc.faults[0] if exc.faults else Fault("file", "an image", str(exc))
            faults.append(Fault(picture.where, first.expected, first.got))
            continue
        known = label if label in version.task.choices else None
        items.append(replace(item, expected=known))
        taken.append(replace(picture, label=label))
    return items, taken, faults


def _annotated(annotations: Path, pictures: Sequence[Path]) -> Iterator[LabelledPicture | Line]:
    data = annotations.read_bytes()
    by_name = {path.name: path for path in pictures}
    for line in read_labels_of(data, guess_format(data)):
        path = by_name.get(line.name or "") if isinstance(line, Told) and line.item is None else None
        yield (
            line if path is None or isinstance(line, Fault) else LabelledPicture(line.where, path, line.label)
        )


def _in_folders(folder: Path, files: Sequence[Path]) -> Iterator[LabelledPicture]:
    """A folder for each label: people zip the folder that these are in, or what is in it."""
    inner = sorted({path.relative_to(folder).parts[0] for path in files})
    while len(inner) == 1 and (folder / inner[0]).is_dir() and _has_folders(folder / inner[0]):
        folder = folder / inner[0]
        inner = sorted({path.relative_to(folder).parts[0] for path in files})
    labelled = [path for path in files if len(path.relative_to(folder).parts) > 1]
    if not labelled:
        raise InvalidInput.at("file", "an archive with a folder of images for each label", "one without")
    for path in labelled:
        place = path.relative_to(folder)
        yield LabelledPicture(str(place)[-200:], path, unquote(place.parts[0]))


def _has_folders(folder: Path) -> bool:
    return any(path.is_dir() and is_visible(path.name) for path in folder.iterdir())
