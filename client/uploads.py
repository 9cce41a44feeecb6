"""Files on their way to the server: opened when their turn comes, so that a thousand images need one open file."""

from __future__ import annotations

import io
import mimetypes
import os
from pathlib import Path
from typing import BinaryIO

from client.errors import InputError
from client.names import sendable


class Upload:
    """One file as a part of a form. What sends it reads it like an open file, again from the start for a new try."""

    def __init__(self, path: Path, *, part: str) -> None:
        self.path = path
        self.part = part
        self.name = sendable(path.name if path.is_absolute() or ".." in path.parts else path.as_posix())
        self.content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self._size_bytes = _size_bytes(path)
        self._position = 0
        self._file: BinaryIO | None = None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to the start or the end: nothing else is asked of a file that is sent."""
        self._close()
        self._position = self._size_bytes if whence == io.SEEK_END else offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        """The next bytes; the file is closed at its end."""
        if self._file is None:
            self._file = self.path.open("rb")
            self._file.seek(self._position)
        chunk = self._file.read(size)
        self._position += len(chunk)
        if not chunk:
            self._close()
        return chunk

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _size_bytes(path: Path) -> int:
    try:
        if not path.is_file():
            raise InputError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
        if not os.access(path, os.R_OK):
            raise InputError(f"{path}: permission denied")
        return path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
