"""How the texts of settings are read: each reader takes a text, and raises `Invalid` if it is none of its kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from production_server.errors import InvalidInput
from production_server.storage.extras import what_lacks
from production_server.storage.locations import SCHEMES, Location

# A key may have such characters, but hardly a whole URL behind one.
_OTHER_SEPARATOR = re.compile(rf"[,;|]\s*(?:{'|'.join(SCHEMES)})://|[,;|](?=\s|$)")


class Invalid(Exception):
    """What a reader raises: the message says what was expected."""


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """A reader of whole numbers between two, both included."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and minimum <= int(text) <= maximum):
            raise Invalid(f"a whole number from {minimum} to {maximum}")
        return int(text)

    return read


def one_of(*choices: str) -> Callable[[str], str]:
    """A reader of one of several words, large or small letters."""

    def read(text: str) -> str:
        if text.lower() not in choices:
            raise Invalid("one of " + ", ".join(choices))
        return text.lower()

    return read


def name_text(text: str) -> str:
    """A name that can stand in a path and in a log line."""
    if not re.fullmatch(r"[\w.-]{1,100}", text, re.ASCII):
        raise Invalid("up to 100 letters, digits, hyphens, dots and underscores")
    return text


def url(*starts: str) -> Callable[[str], str]:
    """A reader of URLs that start in one of several ways."""

    def read(text: str) -> str:
        try:
            # Reading the port checks it.
            is_url = text.startswith(starts) and urlsplit(text).port != 0
        except ValueError:
            is_url = False
        if not is_url:
            raise Invalid("a URL that starts with " + " or ".join(starts))
        return text

    return read


def locations(text: str) -> tuple[Location, ...]:
    """Places in buckets, separated by spaces; what reads them must be installed."""
    if _OTHER_SEPARATOR.search(text):
        raise Invalid("URLs separated by spaces, and by nothing else: a comma may be part of a key")
    try:
        found = tuple(Location.parse(each) for each in text.split())
    except InvalidInput as exc:
        raise Invalid(f"URLs separated by spaces, each {exc.faults[0].expected}") from exc
    if lacking := what_lacks({location.scheme for location in found}):
        raise Invalid(f"an environment with {lacking}")
    return found


def secret_text(text: str) -> str:
    """A password or token that is long enough to be one."""
    if not re.fullmatch(r"[!-~]{16,1000}", text):
        raise Invalid("16 to 1,000 printable ASCII characters without spaces")
    return text
