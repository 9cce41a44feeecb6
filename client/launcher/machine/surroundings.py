"""What the launcher touches besides the cloud's API: the route to the instance, its service, and SSH."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from typing import TYPE_CHECKING, Protocol

import httpx

from client.errors import InputError
from client.launcher.machine.address import HTTPS_PORT, host_of
from client.launcher.machine.repository import CHECKOUT
from client.launcher.machine.ssh import SecureShell, known_hosts_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PROBE_TIMEOUT_S = 3.0
DEFAULT_LOGIN = "debian"  # where the cloud shows no console
PUSH_TIMEOUT_S = 300.0
COMMAND_TIMEOUT_S = 300.0


class Surroundings(Protocol):
    """The world around a launch; tests bring their own."""

    def own_address(self, towards: str) -> str | None:
        """This machine's address (a CIDR of one) as a host is reached from it; None if that is a loopback address."""
        ...

    def is_ready(self, url: str) -> bool:
        """Whether a service answers at a URL that it is ready, with whatever certificate."""
        ...

    def is_ready_as(self, domain: str, address: str) -> bool:
        """Whether the machine at an address answers that it is ready, with a certificate that proves its name."""
        ...

    def points_to(self, domain: str, address: str) -> bool:
        """Whether a name leads to an address, as far as it can be seen from here."""
        ...

    def push(self, commit: str, *, address: str, login: str, host_keys: Sequence[str]) -> None:
        """Push a commit from here to an instance."""
        ...

    def execute(self, *command: str, address: str, login: str, host_keys: Sequence[str]) -> str:
        """Run a command on an instance and answer what it prints."""
        ...


class Outside:
    """The real one. `name` is the instance's, `identity` the private key to log in with."""

    def __init__(self, name: str, *, login: str | None = None, identity: Path | None = None) -> None:
        self.known_hosts = known_hosts_file(name)
        self._login = login
        self._identity = identity
        # The instance lets this machine in, not some proxy. Its certificate is its own; nothing is sent that others
        # must not see, and whoever else answers can only have the launch wait for less.
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        self._http = httpx.Client(timeout=PROBE_TIMEOUT_S, trust_env=False, verify=anybody)
        # A connection that is kept has proved the name of whoever asked first.
        self._named = httpx.Client(
            timeout=PROBE_TIMEOUT_S,
            trust_env=False,
            verify=httpx.create_ssl_context(),
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def own_address(self, towards: str) -> str | None:
        """Ask the routing table; nothing is sent.

        Raises:
            InputError: There is no route, or only one from a private to a public address, through an address
                translation whose other side cannot be known from here.
        """
        try:
            family, _, _, _, destination = socket.getaddrinfo(towards, 9, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect(destination)
                own = ipaddress.ip_address(probe.getsockname()[0].partition("%")[0])
        except OSError as error:
            raise InputError(
                f"no route to {towards} ({error.strerror}): name who may come in with --allow-from"
            ) from error
        if own.is_loopback:
            return None
        if not own.is_global and ipaddress.ip_address(str(destination[0]).partition("%")[0]).is_global:
            raise InputError(
                f"this machine reaches {towards} from the private address {own}, which the cloud does not see: "
                "name the public one with --allow-from"
            )
        return str(ipaddress.ip_network(own))

    def is_ready(self, url: str) -> bool:
        try:
            return self._http.get(f"{url}/readyz").status_code == httpx.codes.OK
        except (httpx.HTTPError, httpx.InvalidURL):
            return False

    def is_ready_as(self, domain: str, address: str) -> bool:
        # Not by the name: that may lead to an older instance still, or not be known here yet.
        url = f"https://{host_of(address)}:{HTTPS_PORT}/readyz"
        try:
            answer = self._named.get(url, headers={"Host": domain}, extensions={"sni_hostname": domain})
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return answer.status_code == httpx.codes.OK

    def points_to(self, domain: str, address: str) -> bool:
        try:
            found = socket.getaddrinfo(domain, HTTPS_PORT, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return False
        return ipaddress.ip_address(address) in {ipaddress.ip_address(each[4][0]) for each in found}

    def shell(self, address: str, *, login: str) -> SecureShell:
        """A way into the instance."""
        user = self._login or login or DEFAULT_LOGIN
        return SecureShell(address, user, self.known_hosts, identity=self._identity)

    def push(self, commit: str, *, address: str, login: str, host_keys: Sequence[str]) -> None:
        shell = self.shell(address, login=login)
        shell.trust(host_keys)
        shell.push(commit, checkout=CHECKOUT, timeout_s=PUSH_TIMEOUT_S)

    def execute(self, *command: str, address: str, login: str, host_keys: Sequence[str]) -> str:
        shell = self.shell(address, login=login)
        shell.trust(host_keys)
        return shell.run(*command, timeout_s=COMMAND_TIMEOUT_S)
