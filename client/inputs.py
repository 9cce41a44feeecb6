"""Reads what a user typed after `predict`: numbers, name=number pairs, images, files of arrays, or items in JSON."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from client.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

IMAGE_SUFFIXES = frozenset(
    {
        ".apng",
        ".bmp",
        ".dib",
        ".gif",
        ".jfif",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".webp",
    }
)
"""Of a folder's files only these are sent: of a format that no server takes, one would have the whole job refused."""

Row: TypeAlias = "list[float] | dict[str, float]"


ARRAY_SUFFIXES = frozenset({".npz", ".npy"})


@dataclass(frozen=True)
class Files:
    """Images, or files of arrays, by their paths, in the order in which they were named."""

    paths: list[Path]


@dataclass(frozen=True)
class Items:
    """What a file of JSON holds: each is one item."""

    items: list[Any]


_PAIR = re.compile(r"([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)


def read_inputs(arguments: Sequence[str], *, is_recursive: bool = False) -> Row | Files | Items:
    """One row (of numbers in order, or by feature name), files, or items in JSON.

    Raises:
        InputError: It is neither, or a mixture.
    """
    for argument in arguments:
        if _has_other_digits(argument) and not Path(argument).exists():
            raise InputError(_digits(argument))
    if _are_all(_is_pair, arguments, kind="name=number"):
        return dict(_pair(argument) for argument in arguments)
    if _are_all(_is_number, arguments, kind="a number"):
        return [_number(argument) for argument in arguments]
    if _are_all(_is_json, arguments, kind="a file of JSON"):
        return Items([item for argument in arguments for item in _items(Path(argument))])
    return Files([path for argument in arguments for path in _images(argument, is_recursive=is_recursive)])


def _are_all(is_kind: Callable[[str], bool], arguments: Sequence[str], *, kind: str) -> bool:
    others = [argument for argument in arguments if not is_kind(argument)]
    if others and len(others) < len(arguments):
        raise InputError(f"{others[0]}: expected {kind}, as the others are")
    return not others


def _is_json(argument: str) -> bool:
    return argument.lower().endswith(".json") and Path(argument).is_file()


def _items(path: Path) -> list[Any]:
    """The items of a file: its list, or the one that it is."""
    try:
        content = json.loads(path.read_bytes(), parse_constant=_no_number)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, a list of items: {error}") from error
    items = content if isinstance(content, list) else [content]
    return items or _no_items(path)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _no_items(path: Path) -> list[Any]:
    raise InputError(f"{path}: expected at least one item, got an empty list")


def _is_pair(argument: str) -> bool:
    return _PAIR.fullmatch(argument) is not None and not Path(argument).exists()


def _pair(argument: str) -> tuple[str, float]:
    name, _, value = argument.partition("=")
    if _has_other_digits(value):
        raise InputError(f"{name}: {_digits(value)}")
    if not _is_number(value):
        raise InputError(f"{name}: expected a number, got {value!r}")
    return name, _number(value, name=f"{name}: ")


def _is_number(text: str) -> bool:
    """The one place that says what a number is."""
    return _is_float(text) and not _has_other_digits(text)


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    # Python's own way to part thousands, which no other program reads.
    return "_" not in text


def _has_other_digits(text: str) -> bool:
    """Digits of another script, as Python takes them; a sign between them may mean another thing there."""
    return _is_float(text) and any(each.isdecimal() and not each.isascii() for each in text)


def _digits(text: str) -> str:
    return f"expected a number in the digits 0 to 9, got {text!r}"


def _number(text: str, *, name: str = "") -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InputError(f"{name}{text} is not a finite number")
    return int(number) if number.is_integer() and "e" not in text.lower() else number


def _images(argument: str, *, is_recursive: bool) -> list[Path]:
    path = Path(argument)
    if path.is_dir():
        return _images_in(path, pattern="**/*" if is_recursive else "*", otherwise="no images in it")
    if not path.exists() and any(wild in argument for wild in "*?["):
        # From the root or from here, so that the names stay as they were typed.
        base = Path(path.anchor)
        found = sorted(each for each in base.glob(str(path.relative_to(base))) if each.is_file())
        return found or _nothing(argument, "no file matches")
    if not path.exists():
        return _nothing(argument, "neither a number nor a file")
    return [path]


def _images_in(folder: Path, *, pattern: str, otherwise: str) -> list[Path]:
    files = (path for path in folder.glob(pattern) if not path.name.startswith("."))
    found = sorted(path for path in files if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not found and pattern == "*" and any(path.is_dir() for path in folder.iterdir()):
        otherwise += ", only folders: --recursive looks into them"
    return found or _nothing(str(folder), otherwise)


def _nothing(argument: str, reason: str) -> list[Path]:
    raise InputError(f"{argument}: {reason}")
