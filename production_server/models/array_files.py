"""Files of arrays, as numpy writes them: .npz with an array for each name, .npy with one."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Sequence
from typing import IO

import numpy as np
from numpy.lib import format as npy

from production_server.errors import InvalidInput, TooLarge
from production_server.shown import describe

MAX_ARRAYS_BYTES = 256 * 2**20
"""What the arrays of a file may become: it may be compressed to a thousandth."""
MAX_HEADER = 10_000
_UNREADABLE = (
    ValueError, OSError, EOFError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What comes of reading a file that is damaged, encrypted, or compressed in a way that nobody has."""


def read_arrays(data: bytes, *, field: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of a file; a .npy file is the array of the only name. Objects are never unpickled.

    Raises:
        InvalidInput: it is no such file, is damaged, has objects, or other arrays than `names`.
        TooLarge: its arrays take more than `MAX_ARRAYS_BYTES`.
    """
    if data.startswith(npy.MAGIC_PREFIX):
        if len(names) != 1:
            raise InvalidInput.at(field, f"a .npz file with {', '.join(names)}", "a .npy file with one array")
        return {names[0]: _read(io.BytesIO(data), len(data), field)}
    if not data.startswith(b"PK"):
        raise InvalidInput.at(field, "a .npz or .npy file, as numpy writes them", describe_bytes(data))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read_members(archive, field, names)
    except _UNREADABLE as exc:
        raise InvalidInput.at(field, "a whole .npz file", f"a damaged one ({exc})") from exc


def describe_bytes(data: bytes) -> str:
    """How a file begins, for people."""
    return "an empty file" if not data else f"a file that begins with {describe(data[:8].decode('latin-1'))}"


def _read_members(archive: zipfile.ZipFile, field: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    members = archive.infolist()
    found = [each.filename.removesuffix(".npy") for each in members]
    if sorted(found) != sorted(names):
        got = ", ".join(name[:40] for name in found[:20]) or "none"
        raise InvalidInput.at(field, f"the arrays {', '.join(names)}", got)
    if sum(each.file_size for each in members) > MAX_ARRAYS_BYTES:
        raise TooLarge.at(field, f"arrays of at most {MAX_ARRAYS_BYTES} bytes", "more")
    arrays: dict[str, np.ndarray] = {}
    for name, member in zip(found, members, strict=True):
        with archive.open(member) as file:
            arrays[name] = _read(file, member.file_size, f"{field}.{name}")
    return arrays


def _read(file: IO[bytes], size: int, field: str) -> np.ndarray:
    """One array. Its header is held against its size first: numpy would make room for whatever that says."""
    head = io.BytesIO(file.read(min(size, MAX_HEADER + 16)))
    try:
        version = npy.read_magic(head)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
        if read_header is None:
            raise InvalidInput.at(field, "the formats 1.0 and 2.0 of .npy", str(version))
        shape, is_fortran, dtype = read_header(head, max_header_size=MAX_HEADER)
    except _UNREADABLE as exc:
        raise InvalidInput.at(field, "an array as numpy writes it", f"a damaged one ({exc})") from exc
    if dtype.hasobject or dtype.kind not in "fiubU":
        raise InvalidInput.at(field, "numbers, booleans or texts", f"{dtype}: Python objects are not read")
    expected = math.prod(shape) * dtype.itemsize
    if expected != size - head.tell():
        raise InvalidInput.at(
            field, f"{expected} bytes for {dtype} {list(shape)}", f"{size - head.tell()} bytes"
        )
    content = head.read() + file.read()
    if len(content) != expected:
        raise InvalidInput.at(field, f"{expected} bytes", f"{len(content)} bytes: it is cut off")
    array = np.frombuffer(content, dtype=dtype)
    return array.reshape(shape[::-1]).T if is_fortran else array.reshape(shape)
