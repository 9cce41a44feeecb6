"""Where the tests of the contract of clouds take place, and what they ask for."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Protocol

import pytest

from client.errors import Refused
from client.launcher.cloud import Mark, Server, ServerRequest
from testing.processes import wait_until

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from client.launcher.cloud import Cloud, Flavor, Network

ANYWHERE, ANYWHERE_6 = "0.0.0.0/0", "::/0"


class Place(Protocol):
    """A project to test in: the cloud, and what only its administrator can do."""

    keypair: str

    @property
    def cloud(self) -> Cloud: ...

    def limits(self, **limits: int | None) -> AbstractContextManager[None]:
        """Limit what the project may have, in the words of `Quota`."""
        ...

    def empty_pool(self) -> AbstractContextManager[str]:
        """Yields the name of an external network that has no floating address left."""
        ...

    def failing_boot(self) -> AbstractContextManager[str]:
        """Yields the name of a flavor: servers of it end in ERROR."""
        ...

    def add_foreign_server(self, name: str) -> str:
        """Make a server without a mark; returns its id."""
        ...

    def add_foreign_group(self, name: str) -> str:
        """Make a security group without a mark; returns its id."""
        ...

    def leftovers(self) -> list[str]:
        """All that was made in the project and is there still."""
        ...


def new_mark() -> Mark:
    return Mark(f"contract-{secrets.token_hex(3)}", secrets.token_hex(4))


def flavor(place: Place, name: str) -> Flavor:
    return next(each for each in place.cloud.inventory().flavors if each.name == name)


def network(place: Place, *, is_external: bool) -> Network:
    networks = place.cloud.inventory().networks
    return next(each for each in networks if each.is_external == is_external)


def request(place: Place, mark: Mark, **changes: object) -> ServerRequest:
    """A small server; keywords change its fields."""
    inventory = place.cloud.inventory()
    private = next(each for each in inventory.networks if not each.is_external)
    fields = {
        "name": mark.name,
        "image_id": inventory.images[0].id,
        "flavor_id": next(each.id for each in inventory.flavors if each.name == "m1.tiny"),
        "network_id": private.id,
        "keypair": place.keypair,
        "security_group_id": inventory.security_groups[0].id,
        "user_data": "#cloud-config\n",
        "metadata": {"commit": "0123abc"},
        "mark": mark,
    }
    return ServerRequest(**{**fields, **changes})  # type: ignore[arg-type]


def booted(place: Place, mark: Mark, **changes: object) -> Server:
    """A server that is ACTIVE."""
    server = place.cloud.create_server(request(place, mark, **changes))
    return settled(place, server.id)


def settled(place: Place, server_id: str, status: str = "ACTIVE") -> Server:
    """The server when it has a status and does nothing."""
    seen: list[Server] = []

    def has_settled() -> bool:
        server = place.cloud.server(server_id)
        assert server is not None
        seen.append(server)
        return server.status == status and server.task is None

    wait_until(has_settled, what=f"the server is {status}")
    return seen[-1]


def is_gone(place: Place, server_id: str) -> bool:
    return place.cloud.server(server_id) is None


def refused(code: str) -> pytest.RaisesExc[Refused]:
    """Expect a refusal with a code, and words to go with it."""
    return pytest.raises(Refused, check=lambda error: error.code == code and bool(str(error)))
