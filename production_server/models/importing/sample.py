"""A sample of what a model is for: rows in a CSV, or a folder (or a zip) with a folder of images for each label."""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from production_server.errors import InvalidInput, TooLarge
from production_server.models.drafts import hidden_folder
from production_server.models.images import read_pixels
from production_server.models.importing.archives import is_visible, unpack
from production_server.models.manifest import ImagePreprocessing
from production_server.models.store_folders import told
from production_server.models.table_columns import TARGET_NAMES
from production_server.models.table_numbers import Numbers, plain_number
from production_server.models.table_text import DELIMITERS, HEAD_CHARACTERS, Writing, decode, lines_of
from production_server.models.tabular import FLOAT32_MAX
from production_server.models.tasks.label_sets import BETWEEN, NONE
from production_server.models.tensors import Tensors
from production_server.shown import describe, shown

# Samples are read in workers, and embedded in the web process: what they take there is bounded here.
MOST_BYTES = 64 * 2**20
MOST_ROWS = 100_000
MOST_CELLS = 5_000_000
"""40 MB of numbers, which take some seconds to be read; further rows are not."""
MOST_IMAGES = 1_000
MOST_IMAGE_BYTES = 32 * 2**20
MOST_PIXELS = 50_000_000
MOST_NUMBERS = 50_000_000
"""Of all images as a model gets them, 200 MB; of those that give more, fewer are taken."""
_PICTURES = frozenset((".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".pnm", ".pgm", ".ppm"))


@dataclass(frozen=True)
class Rows:
    """A table: the features' names, their numbers, float64 [rows, features], and what is true, where it says so."""

    names: tuple[str, ...]
    values: np.ndarray
    target: str | None
    truths: tuple[str, ...]

    @property
    def has_values(self) -> bool:
        """Whether the target column holds numbers, of which not all are whole: no labels."""
        numbers = [_value(text) for text in set(self.truths) - {""}]
        known = [number for number in numbers if number is not None]
        return len(known) == len(numbers) and not all(number.is_integer() for number in known)

    @property
    def truth_range(self) -> tuple[float, float] | None:
        """The smallest and the largest number of the target column; None where it holds others than numbers."""
        numbers = [_value(text) for text in set(self.truths) - {""}]
        known = [number for number in numbers if number is not None]
        return (min(known), max(known)) if known and len(known) == len(numbers) else None

    @property
    def labels(self) -> tuple[str, ...]:
        """What the target column holds, in order: as numbers where all are, else as words; of several each."""
        found = {label for text in self.truths for label in text.split(BETWEEN)} - {""}
        if any(BETWEEN in text for text in self.truths):
            found -= {NONE}
        is_numbered = all(text.lstrip("-").isdecimal() for text in found)
        return tuple(sorted(found, key=int) if is_numbered else sorted(found))

    @property
    def origin(self) -> str:
        """What it is, for people."""
        return f"{len(self.values):,} rows of the sample"

    @property
    def sha256(self) -> str:
        """Of the numbers, their columns, and what is true; however the table was written."""
        return _sha256_of((*self.names, "", *self.truths), [self.values])


@dataclass(frozen=True)
class Images:
    """Files by label, in the order of the labels, which is that of their folders' names.

    What no folder can be called stands there with percent signs, as `labels.zip` writes it (`T-shirt%2Ftop`).
    """

    labels: tuple[str, ...]
    files: tuple[Path, ...]
    truths: tuple[str, ...]
    """The label of each file."""

    def pixels(self, preprocessing: ImagePreprocessing) -> np.ndarray:
        """The images as a model gets them: float32 [images, height, width, channels].

        Raises:
            InvalidInput: a file is no image that can be read; names it.
        """
        shape = (preprocessing.height, preprocessing.width, preprocessing.channels)
        found = np.empty((len(self.files), *shape), np.float32)
        for place, each in enumerate(self.files):
            found[place] = read_pixels(
                each.read_bytes(), preprocessing, field=shown(each.name), max_pixels=MOST_PIXELS
            )
        found *= np.float32(preprocessing.scale)
        found += np.float32(preprocessing.offset)
        return found

    @property
    def origin(self) -> str:
        """What it is, for people."""
        return f"{len(self.files):,} images of the sample"

    @property
    def sha256(self) -> str:
        """Of the files' bytes, and their labels.

        Raises:
            OSError: a file cannot be read.
        """
        return _sha256_of(self.truths, (each.read_bytes() for each in self.files))


@dataclass(frozen=True)
class HeldOut:
    """Items as the model gets them, of which nothing was learnt, and what is true of each."""

    tensors: Tensors
    truths: tuple[str, ...]

    @property
    def origin(self) -> str:
        """What it is, for people."""
        return f"{len(self.truths):,} items held out"

    @property
    def sha256(self) -> str:
        """Of the items, and what is true of them."""
        arrays = [np.ascontiguousarray(self.tensors[name]) for name in sorted(self.tensors)]
        return _sha256_of((*sorted(self.tensors), "", *self.truths), arrays)


Sample = Rows | Images | HeldOut


def _sha256_of(texts: Sequence[str], pieces: Iterable[bytes | np.ndarray]) -> str:
    """Of texts and bytes in this order, each with its length before it: parts that lie otherwise are others."""
    digest = hashlib.sha256()
    for piece in itertools.chain((text.encode() for text in texts), pieces):
        view = memoryview(piece).cast("B") if isinstance(piece, bytes) else piece.data.cast("B")
        digest.update(view.nbytes.to_bytes(8))
        digest.update(view)
    return digest.hexdigest()


def read_sample(
    path: Path, *, target: str | None, features: Sequence[str], image: ImagePreprocessing | None = None
) -> Sample:
    """Read the first rows of a table, or find images; where they are too many, as many as may be, evenly from all.

    `features` are the columns that are the model's, where that is known; without them they are all but the target.
    `image` is how large the model gets images, where that is known.

    Raises:
        InvalidInput: it is neither; names the place.
        TooLarge: the table is over `MOST_BYTES`, or an image over `MOST_IMAGE_BYTES`.
    """
    try:
        if path.is_dir():
            return _find_images(path, most=_most_images(image))
        if path.stat().st_size > MOST_BYTES:
            raise TooLarge.at("sample", f"at most {MOST_BYTES >> 20} MiB", f"{path.stat().st_size >> 20} MiB")
        return _read_rows(path, target=target, features=features)
    except OSError as exc:
        raise InvalidInput.at(
            "sample",
            "a CSV file, a folder or a zip of it",
            f"{shown(path.name)} ({exc.strerror or type(exc).__name__})",
        ) from exc


@contextmanager
def sample_folder(sample: Path | None, beside: Path) -> Iterator[Path | None]:
    """The sample, where it is a zip as the folder that was zipped, in a hidden folder of `beside` until the block ends.

    Raises:
        InvalidInput, TooLarge: the archive is none that is unpacked. StoreNotWritable: there is no room for it.
    """
    if sample is None or not sample.is_file() or not _is_archive(sample):
        yield sample
        return
    with hidden_folder(beside) as folder:
        with told(folder):
            unpack(sample, folder / "sample", field="sample")
        yield _labels_in(folder / "sample")


def _is_archive(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\3\4"
    except OSError:
        return False  # Whoever reads it tells why.


def _labels_in(folder: Path) -> Path:
    """The folder with a folder for each label: people zip that folder, or what is in it."""
    inner = [path for path in folder.iterdir() if is_visible(path.name)]
    while len(inner) == 1 and inner[0].is_dir() and any(path.is_dir() for path in inner[0].iterdir()):
        folder = inner[0]
        inner = [path for path in folder.iterdir() if is_visible(path.name)]
    return folder


def _most_images(image: ImagePreprocessing | None) -> int:
    if image is None:
        return MOST_IMAGES
    return max(1, min(MOST_IMAGES, MOST_NUMBERS // (image.height * image.width * image.channels)))


def _find_images(folder: Path, *, most: int) -> Images:
    labels = sorted(path.name for path in folder.iterdir() if path.is_dir() and is_visible(path.name))
    files = [
        path
        for label in labels
        for path in sorted((folder / label).rglob("*"))
        if path.suffix.lower() in _PICTURES and is_visible(path.name) and path.is_file()
    ]
    if not files:
        raise InvalidInput.at(
            "sample", "a folder with a folder of images for each label", "one without images"
        )
    chosen = np.linspace(0, len(files) - 1, min(len(files), most)).astype(int)
    files_chosen = tuple(files[place] for place in chosen)
    for each in files_chosen:
        if (size := each.stat().st_size) > MOST_IMAGE_BYTES:
            raise TooLarge.at(
                f"sample, {shown(each.name)}", f"at most {MOST_IMAGE_BYTES >> 20} MiB", f"{size >> 20} MiB"
            )
    truths = tuple(unquote(path.relative_to(folder).parts[0]) for path in files_chosen)
    names = tuple(map(unquote, labels))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput.at("sample", "folders that mean labels that differ", f"two for {describe(twice)}")
    return Images(names, files_chosen, truths)


def _read_rows(path: Path, *, target: str | None, features: Sequence[str]) -> Rows:
    try:
        text, encoding = decode(path.read_bytes())
    except InvalidInput as exc:
        raise InvalidInput.at("sample", "a table as text", str(exc).removeprefix("csv: ")) from exc
    first = text[:HEAD_CHARACTERS].split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first.count)
    lines = lines_of(text, Writing(encoding, delimiter, skips_spaces=False))
    header = [cell.strip() for cell in next(lines, (1, []))[1]]
    if not header or len(set(header)) != len(header):
        raise InvalidInput.at("sample", "a first line with names that differ", describe(first[:80]))
    truth = _target_of(header, target)
    columns = _feature_columns(header, truth, features)
    numbers = Numbers(delimiter)
    # Numbers side by side: in lists each would take four times as much.
    values = array("d")
    truths: list[str] = []
    for line, cells in itertools.islice(lines, max(1, min(MOST_ROWS, MOST_CELLS // len(header)))):
        if len(cells) != len(header):
            raise InvalidInput.at(f"sample line {line}", f"{len(header)} columns", str(len(cells)))
        values.extend(_number(numbers, line, column, cells[column].strip(), header) for column in columns)
        truths.append("" if truth is None else cells[truth].strip())
    if not truths:
        raise InvalidInput.at("sample", "at least one row", "none")
    return Rows(
        tuple(header[column] for column in columns),
        np.frombuffer(values, np.float64).reshape(len(truths), len(columns)),
        None if truth is None else header[truth],
        tuple(truths) if truth is not None else (),
    )


def _target_of(header: Sequence[str], target: str | None) -> int | None:
    if target is None:
        return next((place for place, name in enumerate(header) if name.lower() in TARGET_NAMES), None)
    if target not in header:
        raise InvalidInput.at("target", f"one of the sample's columns ({', '.join(header)})", target)
    return header.index(target)


def _feature_columns(header: Sequence[str], truth: int | None, features: Sequence[str]) -> list[int]:
    if features and set(features) <= set(header):
        return [header.index(name) for name in features]
    return [place for place in range(len(header)) if place != truth]


def _value(text: str) -> float | None:
    """A number with a point or a comma."""
    written = plain_number(text.replace(",", ".") if text.count(",") == 1 else text)
    return None if written is None else float(written)


def _number(numbers: Numbers, line: int, column: int, text: str, header: Sequence[str]) -> float:
    value = numbers.read(line, column, text)
    if value is None:
        raise InvalidInput.at(
            f"sample line {line}, {shown(header[column])}",
            "a number (another column is the target: say which)",
            describe(text),
        )
    # As with rows of jobs: what no row may hold, no sample has to answer.
    if not abs(value) <= FLOAT32_MAX:
        raise InvalidInput.at(
            f"sample line {line}, {shown(header[column])}", "a finite number", describe(text)
        )
    return value
