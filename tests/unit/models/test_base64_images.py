from __future__ import annotations

import base64

import pytest

from production_server.errors import InvalidInput
from production_server.models.base64_images import image_of_base64

DATA = bytes(range(256)) * 2
TEXT = base64.b64encode(DATA).decode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        base64.encodebytes(DATA).decode(),
        TEXT + "\n",
        "\r\n".join(TEXT[at : at + 64] for at in range(0, len(TEXT), 64)),
        " \t" + TEXT[:7] + " " + TEXT[7:],
        TEXT.rstrip("="),
        TEXT.rstrip("=") + "\n",
    ],
    ids=["plain", "as MIME", "an end of line", "as PEM", "spaces", "no padding", "neither"],
)
def test_what_encoders_write_is_read_whatever_their_lines(text: str) -> None:
    assert image_of_base64(text, field="b64") == DATA


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (7, "got 7"),
        (None, "got null"),
        (["aGFsbG8="], "got a list of 1"),
        ("data:image/png;base64,aGFsbG8=", "got a data URL: leave out all up to its comma"),
        ("-__-", "got Base64 for URLs, with - and _ for"),
        ("aGFsbG8=aGFsbG8=", "data after padding"),
        ("a", 'got "a": '),
        ("aGä=", "ASCII"),
        ("%", 'got "%": '),
    ],
)
def test_what_is_no_base64_is_refused_with_the_cause(text: object, cause: str) -> None:
    with pytest.raises(InvalidInput, match=r"^image.b64: expected an image file in Base64") as caught:
        image_of_base64(text, field="image.b64")

    assert cause in str(caught.value)
