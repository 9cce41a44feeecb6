"""Image files in JSON: as Base64, read alike in jobs and in both protocols of calls."""

from __future__ import annotations

import base64
import binascii

from production_server.errors import InvalidInput
from production_server.shown import describe

EXPECTED = "an image file in Base64 (RFC 4648, section 4)"


def image_of_base64(text: object, *, field: str) -> bytes:
    """An image file, as JSON has it. White space in it, as MIME's lines have, and missing padding are passed over.

    So does TensorFlow Serving, whose decoder is Abseil's `Base64Unescape`.

    Raises:
        InvalidInput: it is not Base64.
    """
    if not isinstance(text, str):
        raise InvalidInput.at(field, EXPECTED, describe(text))
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return _of_other_writers(text, field)


def _of_other_writers(text: str, field: str) -> bytes:
    compact = "".join(text.split())
    if compact[:5].lower() == "data:":
        raise InvalidInput.at(field, EXPECTED, "a data URL: leave out all up to its comma")
    if "-" in compact or "_" in compact:
        raise InvalidInput.at(field, EXPECTED, "Base64 for URLs, with - and _ for + and /")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidInput.at(field, EXPECTED, f"{describe(text)}: {exc}") from exc
