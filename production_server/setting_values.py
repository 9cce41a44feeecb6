"""How the texts of settings are read: each reader takes a text, and raises `Invalid` if it is none of its kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from production_server.errors import InvalidInput
from production_server.storage.extras import what_lacks
from production_server.storage.locations import SCHEMES, WRITABLE_SCHEMES, Location

# A key may have such characters, but hardly a whole URL behind one.
_OTHER_SEPARATOR = re.compile(rf"[,;|]\s*(?:{'|'.join(SCHEMES)})://|[,;|](?=\s|$)")


class Invalid(Exception):
    """What a reader raises: the message says what was expected."""


def integer(minimum: int, maximum: int, *, of: str = "") -> Callable[[str], int]:
    """A reader of whole numbers between two, both included; `of` says what they count."""
    what = f"a whole number of {of}" if of else "a whole number"

    def read(text: str) -> int:
        is_short = len(text) <= len(str(maximum)) + 10
        if not (text.isascii() and text.isdigit() and is_short and minimum <= int(text) <= maximum):
            raise Invalid(f"{what} from {minimum} to {maximum}, in digits alone")
        return int(text)

    return read


def number(minimum: float, maximum: float) -> Callable[[str], float]:
    """A reader of numbers between two, both included."""

    def read(text: str) -> float:
        if not (re.fullmatch(r"\d{1,10}(\.\d{1,10})?", text, re.ASCII) and minimum <= float(text) <= maximum):
            raise Invalid(f"a number from {minimum:g} to {maximum:g}, such as 1.5")
        return float(text)

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


def path(text: str) -> Path:
    """A path of this machine's."""
    if text.startswith("~"):
        raise Invalid("a path without ~, which only shells know")
    if "://" in text or "\0" in text:
        raise Invalid("a path, not a URL")
    return Path(text)


@dataclass(frozen=True, slots=True)
class HostPort:
    """An address, or a name of one, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def host_and_port(text: str) -> HostPort:
    """One address, or name of one, and a port; other machines must know it by that."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        is_any = ip_address(host).is_unspecified
    except ValueError:
        is_any = not re.fullmatch(r"[A-Za-z0-9.-]{1,253}", host)
    if is_any or not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 2**16):
        raise Invalid("one address of this machine, or its name, and a port, such as `10.1.0.5:5200`")
    return HostPort(host, int(port))


def path_or_bucket(text: str) -> Path | Location:
    """A path of this machine's, or one place in a bucket; what reads that must be installed."""
    if "://" not in text:
        return path(text)
    try:
        found = Location.parse(text)
    except InvalidInput as exc:
        raise Invalid(f"a path, or {exc.faults[0].expected}") from exc
    if found.scheme not in WRITABLE_SCHEMES:
        raise Invalid(
            "a path, or a URL of a bucket such as s3://bucket/models; a folder of this machine as a path"
        )
    if any(character.isspace() for character in text):
        raise Invalid("a path, or one URL, without spaces")
    if lacking := what_lacks({found.scheme}):
        raise Invalid(f"an environment with {lacking}")
    return found


def hosts(text: str) -> tuple[str, ...]:
    """Hosts as browsers name them in an Origin, each with its port unless that is its scheme's own."""
    found = tuple(text.lower().split())
    for each in found:
        if not re.fullmatch(r"([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", each):
            raise Invalid(
                "hosts separated by spaces, each with its port if need be, such as `celeriac.lan:8443`"
            )
    return found


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Addresses and networks, separated by spaces; not all addresses that there are."""
    try:
        found = tuple(ip_network(each) for each in text.split())
    except ValueError as exc:
        raise Invalid(
            f"addresses and networks separated by spaces, such as `10.0.0.2 10.1.0.0/16`: {exc}"
        ) from exc
    if any(each.prefixlen == 0 for each in found):
        raise Invalid("addresses and networks that are your own, not all that there are")
    return found


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
