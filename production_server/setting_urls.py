"""How URLs in settings are read: where one part of it could be taken for another, the cause is named, never the URL."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from production_server.setting_values import Invalid

_ESCAPES = {"#": "%23", "/": "%2F", "?": "%3F", "@": "%40", "[": "%5B", "]": "%5D", ";": "%3B"}
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NEXT_URL = re.compile(r"[,;][a-z+]+://")
# What other programs write for PostgreSQL, and SQLAlchemy with a driver.
_OTHER_POSTGRESQL = re.compile(r"postgres(?:ql\+[a-z0-9_]+)?://")


def url(*starts: str) -> Callable[[str], str]:
    """A reader of URLs that start in one of several ways."""
    expected = "a URL that starts with " + " or ".join(starts)

    def read(text: str) -> str:
        if not text.startswith(starts):
            if "postgresql://" in starts and (scheme := _OTHER_POSTGRESQL.match(text)):
                raise Invalid(f"{expected}, not {scheme[0]}")
            raise Invalid(expected + ", without quotes around it" * (text[0] in "\"'"))
        if text.startswith("sqlite:"):
            if "?" in text:
                raise Invalid("a path without parameters: a ? in it is written %3F")
        else:
            _check(text)
        return text

    return read


def _check(text: str) -> None:
    """Whether the parts of a URL are where they seem to be.

    Raises:
        Invalid: they may not be; the message says which character, and nothing of the text.
    """
    if not re.fullmatch(r"[!-~]+", text):
        raise Invalid("a URL of ASCII characters without spaces: others are percent-encoded (a space is %20)")
    if _NEXT_URL.search(text):
        raise Invalid("one URL, not several")
    if _BAD_ESCAPE.search(text):
        raise Invalid("a URL in which % stands only before two hexadecimal digits: a % itself is written %25")
    # kombu takes what is between semicolons for brokers, one instead of the other.
    if text.startswith("amqp") and ";" in text:
        raise Invalid(_encoded(";"))
    rest = text.partition("://")[2]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    _check_credentials(authority, rest[len(authority) :])
    _check_host(text, authority.rpartition("@")[2])


def _check_credentials(authority: str, tail: str) -> None:
    """Whether user name and password end where the first of / ? # is not yet."""
    user = authority.rpartition("@")[0]
    for sign in "@[]":
        if sign in user:
            raise Invalid(_encoded(sign))
    # What follows a host may have an @ in the value of a parameter, if the host is one for certain.
    is_host = "@" in authority or ":" not in authority
    if "@" in (tail.partition("=")[0] if is_host else tail):
        raise Invalid(_encoded(tail[0]) + ", an @ behind the host %40")
    if "#" in tail:
        raise Invalid("a URL without a fragment: a # is written %23")


def _check_host(text: str, host: str) -> None:
    if "," in host:
        raise Invalid("a URL with one host")
    try:
        is_one = urlsplit(text).port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise Invalid(
            "a URL whose host is a name or an address (IPv6 in brackets), its port a number from 1 to 65535"
        )


def _encoded(sign: str) -> str:
    return f"a URL with user name and password percent-encoded: a {sign} in them is written {_ESCAPES[sign]}"
