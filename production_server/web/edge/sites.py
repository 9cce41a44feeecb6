"""Who asks through a browser: the name that it asks for, and the page that has it ask. Judged here, for all routes.

Every page that a user looks at may have the browser send requests to this service, also where only that user's machine
reaches it. Browsers say whose page it is, and pages cannot forge that: neither cookies nor tokens are needed. A page
may also have its own name point here (DNS rebinding): to its browser it is this service then, and only the name tells.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from production_server.errors import Foreign, InvalidInput
from production_server.shown import describe
from production_server.web.edge.headers import Headers

if TYPE_CHECKING:
    from production_server.settings import Settings

NOBODYS = ("localhost", "local", "internal")
"""Under these nobody can have a name in the Internet (RFC 6761, RFC 6762, and ICANN's resolution 2024.07.29.06)."""
_SUFFIXES = tuple(f".{name}" for name in NOBODYS)
REMEMBERED = 256
"""Hosts that are judged once: each call has one."""
OPEN_IT_HERE = "Open the page here and send it again"
_HOST = re.compile(r"(\[[0-9a-f:.]+(?:%[\w.~-]+)?\]|[\w.~!$&'()*+;=-]*)(?::\d*)?", re.ASCII | re.IGNORECASE)


class Sites:
    """Refuses names that may be anybody's, and what pages of other sites send. Safe to share; never blocks."""

    def __init__(self, public_hosts: Iterable[str] = (), *, own_names: Iterable[str] = ()) -> None:
        """`public_hosts` are hosts by which browsers reach this service, with their ports; `own_names` names alone."""
        self._public = frozenset(public_hosts)
        self._names = {name for host in self._public if (name := name_of(host))}
        self._names |= {name.lower().rstrip(".") for name in own_names}
        self._is_known = lru_cache(REMEMBERED)(self._judge)

    def check(self, method: str, headers: Headers, *, scheme: str) -> None:
        """Let a request pass that no other site can have had a browser send.

        Raises:
            Foreign: it asks for a name that is not known here, or a page of another site has sent it.
            InvalidInput: its Host is none.
        """
        host = headers.get("host") or ""
        if not self._is_known(host):
            raise Foreign(
                f"Host: {describe(host)} is not known here. Ask for an IP address or localhost, or name it in the "
                "setting PUBLIC_HOSTS",
                code="unknown_host",
            )
        site = headers.get("sec-fetch-site")
        if site is not None:
            self._check_site(method, headers, site)
            return
        # Browsers that do not know Sec-Fetch-Site, and all of them where there is no TLS, say at least this.
        origin = headers.get("origin")
        if origin is None:
            return
        # Not the other way round: a proxy that nobody has named may speak https before this.
        is_weaker = scheme == "https" and origin.lower().startswith("http:")
        if is_weaker or _host_of(origin) not in {host.lower(), *self._public}:
            raise Foreign(
                f"a page of {describe(origin)} has sent this to {describe(host)}. {OPEN_IT_HERE}; a proxy that "
                "changes Host needs the setting PUBLIC_HOSTS"
            )

    def _check_site(self, method: str, headers: Headers, site: str) -> None:
        if site in {"same-origin", "none"}:
            return
        # Whoever follows a link sees a page of ours; all else is done behind the user's back.
        mode = headers.get("sec-fetch-mode")
        is_link = method in {"GET", "HEAD"} and mode in {None, "navigate"}
        if not is_link:
            raise Foreign(
                f"another host's page has sent this (Sec-Fetch-Site: {describe(site)}). {OPEN_IT_HERE}"
            )

    def _judge(self, host: str) -> bool:
        name = name_of(host)
        if name is None:
            raise InvalidInput.at("Host", "a name or an address, and perhaps a port", describe(host))
        # A name without a dot is nobody's in the Internet, and of an address there is nothing to point elsewhere.
        return "." not in name or name in self._names or name.endswith(_SUFFIXES) or _is_address(name)


def sites_of(settings: Settings) -> Sites:
    """What a service with these settings is called."""
    return Sites(settings.public_hosts, own_names=(settings.host, socket.gethostname()))


def name_of(host: str) -> str | None:
    """The name or address of a Host, in small letters and without a port; None: it is none (RFC 9110, 7.2)."""
    found = _HOST.fullmatch(host)
    return found[1].lower().removesuffix(".") if found else None


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _host_of(origin: str) -> str | None:
    """An origin's host and port; None if it is not written as one."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
