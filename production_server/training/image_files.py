"""Finds labelled image files on disk and decodes one, with limits on what is worth decoding."""

from __future__ import annotations

import csv
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from production_server.training.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
MOST_PIXELS = 50_000_000
MOST_BYTES = 50_000_000
COLUMNS = {"path": ("path", "file", "filename", "image"), "label": ("label", "class", "target")}


@dataclass(frozen=True)
class LabelledFile:
    """A file that shall hold an image, and the name of its class."""

    path: Path
    label: str


def find_images(data: Path) -> list[LabelledFile]:
    """List the images of a folder with one folder per class, or of a CSV with the columns path and label.

    Paths in a CSV are relative to the CSV's folder.

    Raises:
        DataError: there are none, or the CSV has no such columns or a row without a value.
    """
    files = _from_folder(data) if data.is_dir() else _from_csv(data)
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
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix.lower() in SUFFIXES]


def open_image(path: Path) -> Image.Image:
    """Decode the image at `path`, turned as its EXIF data says.

    Raises:
        DataError: it is missing, too large, or no image.
    """
    from PIL import Image, ImageOps

    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: larger than {MOST_BYTES // 1_000_000} MB")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images; the limit below refuses them
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise DataError(f"{path}: more than {MOST_PIXELS // 1_000_000} M pixels")
                image.load()
                return ImageOps.exif_transpose(image)
    except FileNotFoundError as exc:
        raise DataError(f"{path}: no such file") from exc
    except Image.DecompressionBombError as exc:
        raise DataError(f"{path}: more than {MOST_PIXELS // 1_000_000} M pixels") from exc
    except (OSError, ValueError, SyntaxError) as exc:
        raise DataError(f"{path}: not an image that can be read") from exc


def _from_folder(data: Path) -> list[LabelledFile]:
    return [
        LabelledFile(path, folder.name)
        for folder in sorted(data.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix.lower() in SUFFIXES
    ]


def _from_csv(data: Path) -> list[LabelledFile]:
    try:
        with data.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise DataError(f"{data} cannot be read as a CSV in UTF-8: {exc}") from exc
    if not rows:
        return []
    path_column, label_column = _column(data, rows[0], "path"), _column(data, rows[0], "label")
    return [
        _labelled(data, row, number, path_column, label_column) for number, row in enumerate(rows, start=2)
    ]


def _column(data: Path, row: dict[str, str], wanted: str) -> str:
    for name in row:
        if name and name.strip().lower() in COLUMNS[wanted]:
            return name
    raise DataError(
        f"{data} has no column '{wanted}': its first line must name the columns, for example path,label"
    )


def _labelled(
    data: Path, row: dict[str, str | None], number: int, path_column: str, label_column: str
) -> LabelledFile:
    path, label = (row[path_column] or "").strip(), (row[label_column] or "").strip()
    if not path or not label:
        raise DataError(f"{data}, line {number}: a {'label' if path else 'path'} is missing")
    return LabelledFile(data.parent / path, label)
