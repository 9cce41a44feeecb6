"""Why bytes cannot be used as an image, as the parts of this room tell it to the one that knows the field."""

from __future__ import annotations

WHOLE = "a whole image file"


class Unusable(Exception):
    """Raised when bytes are no image that is taken; says what was expected and what came, and with which code."""

    def __init__(self, code: str, *, expected: str, got: str) -> None:
        self.code = code
        self.expected = expected
        self.got = got
        super().__init__(got)


def damaged(got: str) -> Unusable:
    """What is said of a file of a format that is taken, when it is not whole."""
    return Unusable("damaged_image", expected=WHOLE, got=got)
