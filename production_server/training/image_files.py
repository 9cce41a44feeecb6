"""Finds labelled image files on disk and reads one as a server would, with limits on what is worth reading."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from production_server.errors import InvalidInput
from production_server.models.images import open_picture
from production_server.models.table_text import decode, lines_of, writing_of
from production_server.training.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from production_server.models.images import Picture
    from production_server.models.manifest import ImageMode

SUFFIXES = {
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".gif", ".bmp", ".dib", ".webp", ".pnm", ".pbm", ".pgm",
    ".ppm", ".tif", ".tiff", ".heic", ".heif", ".avif",
}  # fmt: skip
"""Also of formats that are not taken: such files are reported, not passed over in silence."""
LEFTOVERS = {"__MACOSX", "@eaDir"}
"""Folders that Macs put into archives and Synology's disks beside images: with a copy of each, but not the image."""
JUNK = {"thumbs.db", "desktop.ini"}
"""What Windows leaves beside images, in small letters."""
NAMES_SHOWN = 5
MOST_PIXELS = 50_000_000
MOST_BYTES = 50_000_000
MOST_COLUMNS = range(2, 1000)
COLUMNS = {"path": ("path", "file", "filename", "image"), "label": ("label", "class", "target")}


@dataclass(frozen=True)
class LabelledFile:
    """A file that shall hold an image, and the name of its class."""

    path: Path
    label: str


def find_images(data: Path, say: Callable[[str], None]) -> list[LabelledFile]:
    """List the images of a folder with one folder per class, or of a CSV with the columns path and label.

    Paths in a CSV are relative to the CSV's folder. Files that are passed over are said.

    Raises:
        DataError: there are none, or the CSV has no such columns, a row without a value or a file of two classes.
    """
    files = _from_folder(data, say) if data.is_dir() else _from_csv(data, say)
    if not files:
        wanted = "one folder of images per class" if data.is_dir() else "a row per image"
        raise DataError(f"{data} has no images: expected {wanted}")
    return files


def find_photos(folder: Path) -> list[Path]:
    """List the images of a folder and of all folders below, whatever they show, in order.

    Raises:
        DataError: it is no folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    return [path for path in _files_below(folder) if _is_named_as_image(path)]


def read_file(path: Path) -> bytes:
    """The bytes of the file at `path`.

    Raises:
        DataError: it is missing, too large, or a folder, a pipe or a device, which may have no end.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise DataError(f"{path}: not a file")
        if found.st_size > MOST_BYTES:
            raise DataError(f"{path}: larger than {MOST_BYTES // 1_000_000} MB")
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise DataError(f"{path}: no such file") from exc
    except OSError as exc:
        raise DataError(f"{path}: cannot be read ({exc.strerror})") from exc


def open_file(path: Path, mode: ImageMode) -> Picture:
    """The picture in the file at `path`, as a server would open it.

    Raises:
        DataError: it is missing, too large, or no image that a server takes.
    """
    try:
        return open_picture(read_file(path), mode, field=str(path), max_pixels=MOST_PIXELS)
    except InvalidInput as exc:
        raise DataError(str(exc)) from exc


def _from_folder(data: Path, say: Callable[[str], None]) -> list[LabelledFile]:
    files = [
        LabelledFile(path, folder.name)
        for folder in sorted(data.iterdir())
        if folder.is_dir() and not _is_leftover(folder.name)
        for path in _files_below(folder)
    ]
    others = [str(file.path.relative_to(data)) for file in files if not _is_named_as_image(file.path)]
    if others:
        some = ", ".join(others[:NAMES_SHOWN]) + (", …" if len(others) > NAMES_SHOWN else "")
        say(f"passed over as no images by their names: {len(others)} files ({some})")
    return [file for file in files if _is_named_as_image(file.path)]


def _files_below(folder: Path) -> Iterator[Path]:
    """The files, in order, without what systems and editors leave in folders, hidden or not."""
    for path in sorted(folder.rglob("*")):
        is_leftover = any(map(_is_leftover, path.relative_to(folder).parts))
        if not is_leftover and path.name.lower() not in JUNK and path.is_file():
            yield path


def _is_named_as_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _is_leftover(name: str) -> bool:
    return name.startswith(".") or name in LEFTOVERS


def _from_csv(data: Path, say: Callable[[str], None]) -> list[LabelledFile]:
    try:
        text, encoding = decode(data.read_bytes())
        writing, said_in = writing_of(text, encoding, is_known=_is_column, widths=MOST_COLUMNS)
        lines = list(lines_of(text, writing, after=said_in))
    except OSError as exc:
        raise DataError(f"{data} cannot be read: {exc.strerror}") from exc
    except InvalidInput as exc:
        raise DataError(f"{data} cannot be read as a table: {exc}") from exc
    if not lines:
        return []
    (_, header), *rows = lines
    places = {wanted: _place(data, header, wanted) for wanted in COLUMNS}
    for line, cells in rows:
        if any(cell.strip() for cell in cells[len(header) :]):
            raise DataError(f"{data}, line {line}: {len(cells)} cells below {len(header)} columns")
    return _each_once(data, {line: _labelled(data, line, cells, places) for line, cells in rows}, say)


def _each_once(data: Path, files: dict[int, LabelledFile], say: Callable[[str], None]) -> list[LabelledFile]:
    """The files by their lines, without those that a line before names: they would be in more than one part.

    Raises:
        DataError: a file has two classes.
    """
    first: dict[str, int] = {}
    again: list[int] = []
    for line, file in files.items():
        before = first.setdefault(os.path.realpath(file.path), line)
        label = files[before].label
        if label != file.label:
            raise DataError(
                f"{data}, lines {before} and {line}: {file.path}: expected one class, got {label} and {file.label}"
            )
        if before != line:
            again.append(line)
    if again:
        some = ", ".join(map(str, again[:NAMES_SHOWN])) + (", …" if len(again) > NAMES_SHOWN else "")
        say(f"counted once: {len(again)} images that {data} names again (lines {some})")
    return [files[line] for line in first.values()]


def _is_column(cell: str) -> bool:
    return any(cell.strip().lower() in names for names in COLUMNS.values())


def _place(data: Path, header: list[str], wanted: str) -> int:
    for place, name in enumerate(header):
        if name.strip().lower() in COLUMNS[wanted]:
            return place
    raise DataError(
        f"{data} has no column '{wanted}': its first line must name the columns, for example path,label"
    )


def _labelled(data: Path, line: int, cells: list[str], places: dict[str, int]) -> LabelledFile:
    found = {name: cells[place].strip() if place < len(cells) else "" for name, place in places.items()}
    for name, text in found.items():
        if not text:
            raise DataError(f"{data}, line {line}: a {name} is missing")
    return LabelledFile(data.parent / found["path"], found["label"])
