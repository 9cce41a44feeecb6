"""What a commit holds: a folder for each model, and the files in one, checked before anything of them is written."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from production_server.delivery.git import LONGEST_S, Git
from production_server.errors import Fault, InvalidInput, Unavailable
from production_server.models.manifest import is_model_name
from production_server.models.store_folders import told
from production_server.shown import shown

MOST_MODELS = 1_000
MOST_FILES = 10_000
"""A few objects can stand for any number of files and folders: no more are listed."""
MOST_IN_ALL = 100_000
LOOKING_S = 600.0
"""All models of a push together: nobody else has the turn meanwhile."""
MOST_NAME_BYTES, MOST_PATH = 200, 1_000
"""Less than what file systems take: the folders above come to it."""
_MOST_CHARACTERS = MOST_FILES * MOST_PATH
"""Of all paths in a folder: folders may lie in each other, and each path names all of its."""
_SYMLINK, _SUBMODULE = "120000", "160000"
_WRONG_KINDS = {_SYMLINK: "a symbolic link", _SUBMODULE: "a submodule"}
_LFS = b"version https://git-lfs"
_LFS_MOST_BYTES = 1024
"""A pointer is shorter."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a folder, or what is neither; `path` is from the top of the tree that was listed."""

    mode: str
    id: str
    size_bytes: int
    path: str

    @property
    def is_folder(self) -> bool:
        return self.mode == "040000"


class Looking:
    """What is left for looking at one push, all its models together. For one thread."""

    def __init__(self, seconds: float = LOOKING_S, entries: int = MOST_IN_ALL) -> None:
        self._left_s = seconds
        self._left = entries

    @contextmanager
    def turn(self) -> Iterator[float]:
        """How long git may take in the block, in seconds; what the block takes is gone.

        Raises:
            Unavailable: nothing is left.
        """
        if self._left_s <= 0:
            raise Unavailable(f"looking at what is pushed took more than {LOOKING_S:g} s: push fewer models")
        began = time.monotonic()
        try:
            yield min(self._left_s, LONGEST_S)
        finally:
            self._left_s -= time.monotonic() - began

    def count(self, entries: int) -> None:
        """So many files and folders have been listed.

        Raises:
            InvalidInput: they are too many.
        """
        self._left -= entries
        if self._left < 0:
            raise InvalidInput.at("push", f"at most {MOST_IN_ALL:,} files and folders in all", "more")


def model_trees(git: Git, commit: str) -> dict[str, str]:
    """The models of a commit, by name: the id of each one's tree, which is another one if anything in it is.

    Files at the top are no models, nor are folders that begin with a dot.

    Raises:
        InvalidInput: a folder is called as no model may be, or something is no folder or file. Unavailable: as `Git`.
    """
    listed = _listed(git, commit, most=MOST_MODELS, whole="the top", looking=Looking())
    entries = [entry for entry in listed if entry.path[:1] != "."]
    faults = [*_wrong_kinds(entries)]
    for entry in entries:
        if entry.is_folder and not is_model_name(entry.path):
            expected = "a model's name: small letters, digits, '_', '.' and '-', at most 64"
            faults.append(Fault(shown(entry.path), expected, "this name of a folder"))
    raise_all(faults)
    return {entry.path: entry.id for entry in entries if entry.is_folder}


def files_of(
    git: Git, model: str, tree: str, *, most_bytes: int, looking: Looking | None = None
) -> list[Entry]:
    """The files of one model; faults call them by their paths from the top. `looking` is that of the whole push.

    Raises:
        InvalidInput: something is no file, is too large, or has a name that leads elsewhere. Unavailable: as `Git`.
    """
    # With the folders: a few that are empty may stand for any number of them.
    listed = _listed(git, "-r", "-t", tree, most=MOST_FILES, whole=model, looking=looking or Looking())
    entries = [entry for entry in listed if not entry.is_folder]
    faults = [*_wrong_kinds(entries, model), *_odd_names(entries, model)]
    faults += [
        _too_large(f"{model}/{entry.path}", entry.size_bytes, most_bytes)
        for entry in entries
        if entry.size_bytes > most_bytes
    ]
    total = sum(entry.size_bytes for entry in entries)
    if not faults and total > 2 * most_bytes:
        faults.append(_too_large(f"{model}, all of it", total, 2 * most_bytes))
    raise_all(faults)
    return entries


def unpack(
    git: Git, entries: Sequence[Entry], model: str, into: Path, *, looking: Looking | None = None
) -> None:
    """Write files of a model, which were checked, into a folder. `looking` is that of the whole push.

    Raises:
        InvalidInput: one is a pointer of Git LFS. Unavailable: as `Git`. StoreNotWritable: there is no room.
    """
    with (
        (looking or Looking()).turn() as longest_s,
        told(into),
        git.blobs(longest_s=longest_s) as blobs,
    ):
        for entry in entries:
            path = into / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                blobs.copy(entry.id, file)
    raise_all(
        Fault(
            f"{model}/{entry.path}",
            "the file itself: this server does not speak Git LFS (git lfs migrate export)",
            "a pointer of Git LFS",
        )
        for entry in entries
        if entry.size_bytes <= _LFS_MOST_BYTES and (into / entry.path).read_bytes().startswith(_LFS)
    )


def raise_all(found: Iterable[Fault]) -> None:
    """Raise faults as one error, if there are any.

    Raises:
        InvalidInput: there are.
    """
    faults = tuple(found)
    if faults:
        raise InvalidInput("; ".join(map(str, faults)), faults)


def _listed(git: Git, *arguments: str, most: int, whole: str, looking: Looking) -> list[Entry]:
    found: list[Entry] = []
    characters = 0
    with (
        looking.turn() as longest_s,
        git.records("ls-tree", "-z", "-l", "--full-tree", *arguments, longest_s=longest_s) as records,
    ):
        for record in islice(records, most + 1):
            characters += len(record)
            if characters > _MOST_CHARACTERS:
                raise InvalidInput.at(whole, f"paths of at most {_MOST_CHARACTERS:,} bytes in all", "more")
            found.append(_entry(record))
    looking.count(len(found))
    if len(found) > most:
        raise InvalidInput.at(whole, f"at most {most:,} files and folders", "more")
    return found


def _entry(record: bytes) -> Entry:
    head, _, path = record.partition(b"\t")
    mode, _, found, size = head.decode().split()
    return Entry(mode, found, int(size) if size.isdigit() else 0, path.decode(errors="surrogateescape"))


def _wrong_kinds(entries: Iterable[Entry], model: str = "") -> Iterator[Fault]:
    for entry in entries:
        if entry.mode in _WRONG_KINDS:
            place = f"{model}/{entry.path}" if model else entry.path
            yield Fault(shown(place), "a file or a folder", _WRONG_KINDS[entry.mode])


def _odd_names(entries: Iterable[Entry], model: str) -> Iterator[Fault]:
    """Git itself lets none out of the tree; what this writes does not rely on that."""
    for entry in entries:
        parts = entry.path.split("/")
        is_text = entry.path.isprintable() and "\\" not in entry.path
        if not is_text or any(part in ("", ".", "..") for part in parts):
            yield Fault(shown(f"{model}/{entry.path}"), "a name of plain text in UTF-8", "this one")
        elif len(entry.path) > MOST_PATH or any(len(part.encode()) > MOST_NAME_BYTES for part in parts):
            expected = f"a name of at most {MOST_NAME_BYTES} bytes, and a path of {MOST_PATH:,} characters"
            yield Fault(shown(f"{model}/{entry.path}"), expected, "a longer one")


def _too_large(place: str, size_bytes: int, most_bytes: int) -> Fault:
    return Fault(
        shown(place),
        f"at most {most_bytes:,} bytes (IMPORT_FILE_BYTES): larger ones come by `models import` from a bucket",
        f"{size_bytes:,}",
    )
