"""Each request's id: what the client called it, if that is fit for a log line; else a new one."""

from __future__ import annotations

import random
import re

HEADER = "X-Request-Id"
_FIT = re.compile(r"[\w.:+/=@-]{1,128}", re.ASCII)


def request_id_of(header: str | None) -> str:
    """The id of a request with this header."""
    if header is not None and _FIT.fullmatch(header):
        return header
    # Not a secret, and made thousands of times a second.
    return f"{random.getrandbits(64):016x}"
