from __future__ import annotations

import errno
import io
from typing import IO, Any

import pytest

from production_server.errors import Unavailable
from production_server.web.edge.forms import StrictFormParser

FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n12345\r\n--x--\r\n'


class FullDisk(io.BytesIO):
    """A file that nothing more can be written to."""

    def write(self, _data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def full_disk(*_where: object, **_and_how: object) -> IO[bytes]:
    return FullDisk()


def test_an_upload_that_there_is_no_space_for_may_be_tried_again() -> None:
    parser = StrictFormParser(stream_factory=full_disk)

    with pytest.raises(Unavailable, match="no space left"):
        parser.parse(io.BytesIO(FORM), "multipart/form-data", len(FORM), {"boundary": "x"})
