"""Zip archives from outside, unpacked: nothing leaves the folder, and nothing grows beyond its limits."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from production_server.errors import InvalidInput, TooLarge
from production_server.shown import shown

MOST_FILES = 10_000
MOST_BYTES = 4 * 2**30
_PIECE_BYTES = 2**20
_MOST_LIST_BYTES = 8 * 2**20
"""Of names and places, which `zipfile` holds in memory, each in some 500 bytes."""


def opened(file: BinaryIO, *, field: str = "file") -> zipfile.ZipFile:
    """A zip archive in a file that is open; its list of files is bounded before it is read, and not what they hold.

    Raises:
        TooLarge: the list is over 8 MiB. BadZipFile, ValueError, OSError, …: what `zipfile` says of a damaged one.
    """
    return zipfile.ZipFile(cast(IO[bytes], _BoundedReads(file, field)))


def unpack(
    archive: Path,
    into: Path,
    *,
    field: str = "file",
    most_bytes: int = MOST_BYTES,
    most_files: int = MOST_FILES,
) -> None:
    """Unpack a zip archive into the folder `into`, which is made if it is not there; all of it or nothing.

    No file becomes larger than the archive says: `zipfile` reads no more of it, and finds it damaged then. Faults call
    the archive `field`.

    Raises:
        InvalidInput: it is damaged or encrypted, or a name in it leads elsewhere, is a link, or comes twice.
        TooLarge: it has more than `most_files` files, or they have more than `most_bytes`.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        with archive.open("rb") as file, opened(file, field=field) as found:
            members = found.infolist()
            _check(members, field, most_bytes=most_bytes, most_files=most_files)
            for member in members:
                _extract(found, member, into)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as exc:
        _empty(into)
        raise InvalidInput.at(field, "a zip archive that can be read", shown(str(exc))) from exc
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
        _empty(into)
        raise InvalidInput.at(field, "an archive in which nothing is both file and folder", "one") from exc
    except InvalidInput:
        _empty(into)
        raise


def is_visible(name: str) -> bool:
    """Whether a file in an archive was put there by a person: macOS adds a hidden one to each, in a folder."""
    parts = PurePosixPath(name).parts
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts)


class _BoundedReads:
    """A file of which nothing large is read at once. `zipfile` reads the list of files so, as long as the file says."""

    def __init__(self, file: BinaryIO, field: str) -> None:
        self._file = file
        self._field = field
        self.seek, self.tell, self.seekable, self.close = file.seek, file.tell, file.seekable, file.close

    def read(self, size: int = -1, /) -> bytes:
        if size > _MOST_LIST_BYTES:
            expected = f"an archive whose list of files has at most {_MOST_LIST_BYTES:,} bytes"
            raise TooLarge.at(self._field, expected, f"{size:,}")
        return self._file.read(size)


def _check(members: list[zipfile.ZipInfo], field: str, *, most_bytes: int, most_files: int) -> None:
    if len(members) > most_files:
        raise TooLarge.at(field, f"an archive of at most {most_files:,} files", f"{len(members):,}")
    said = sum(member.file_size for member in members)
    if said > most_bytes:
        raise TooLarge.at(
            field, f"an archive of at most {most_bytes:,} bytes when it is unpacked", f"{said:,}"
        )
    names: set[str] = set()
    for member in members:
        _check_name(member, field)
        path = str(PurePosixPath(member.filename))
        if path in names:
            raise InvalidInput.at(field, "an archive in which each name comes once", shown(path))
        names.add(path)


def _check_name(member: zipfile.ZipInfo, field: str) -> None:
    name = member.filename
    path = PurePosixPath(name)
    leads_out = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name
    if leads_out or not path.parts:
        raise InvalidInput.at(field, "an archive whose files stay in its folder", f"one named {shown(name)}")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise InvalidInput.at(field, "an archive of plain files", f"a link or device named {shown(name)}")
    if member.flag_bits & 1:
        raise InvalidInput.at(field, "an archive without a password", f"{shown(name)}, which is encrypted")


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path) -> None:
    target = into / member.filename
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as packed, target.open("xb") as file:
        shutil.copyfileobj(packed, file, _PIECE_BYTES)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
