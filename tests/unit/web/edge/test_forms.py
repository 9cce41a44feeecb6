from __future__ import annotations

import contextlib
import errno
import io
from typing import IO, Any

import pytest
from werkzeug.test import EnvironBuilder

from production_server.errors import Unavailable
from production_server.web.edge.forms import StrictFormParser, StrictFormRequest

FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n12345\r\n--x--\r\n'


BODY = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\npicture\r\n'
    b'--b \r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    b"\x89PNG\r\n\x1a\n\r\n--b--\r\n"
)


class Parted(io.BytesIO):
    """A body that comes in two pieces: what a WSGI server gives to read from."""

    def __init__(self, body: bytes, at: int) -> None:
        super().__init__(body)
        self._at = at

    def readinto(self, buffer: Any) -> int:
        come = self._at - self.tell() if self.tell() < self._at else len(buffer)
        return super().readinto(memoryview(buffer)[:come])


@pytest.mark.parametrize("at", range(1, len(BODY)))
def test_a_file_is_not_a_byte_longer_wherever_its_form_is_parted(at: int) -> None:
    builder = EnvironBuilder(
        method="POST",
        input_stream=Parted(BODY, at),
        content_length=len(BODY),
        content_type="multipart/form-data; boundary=b",
    )
    request = StrictFormRequest(builder.get_environ())

    file = request.files["file"]
    with contextlib.closing(file):
        assert file.read() == b"\x89PNG\r\n\x1a\n"
    assert request.form.to_dict() == {"model": "picture"}
    assert (file.filename, file.mimetype) == ("a.png", "image/png")


class FullDisk(io.BytesIO):
    """A file that nothing more can be written to."""

    def write(self, _data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def full_disk(*_where: object, **_and_how: object) -> IO[bytes]:
    return FullDisk()


def test_an_upload_that_there_is_no_space_for_may_be_tried_again() -> None:
    parser = StrictFormParser(full_disk, max_form_memory_size=2**20, max_form_parts=10)
    # What comes in one piece needs no space.
    form = FORM.replace(b"12345", bytes(2**18))

    with pytest.raises(Unavailable, match="no space left"):
        parser.parse(io.BytesIO(form), "multipart/form-data", len(form), {"boundary": "x"})
