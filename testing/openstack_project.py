"""A project in a real OpenStack, with a user and a network of its own: quotas, keys and leftovers are nobody else's."""

from __future__ import annotations

import contextlib
import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from client.launcher.openstack.cloud import connect
from testing.openstack import CLOUD, OpenStack, region_of, running_openstack
from testing.processes import wait_until
from testing.rig import must_have_rig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from client.launcher.openstack.cloud import OpenStackCloud

KEYPAIR = "laptop"
EXTERNAL_NETWORK, PRIVATE_NETWORK = "public", "private"
SUBNET = "10.78.0.0/24"
RIGS_SUBNET = "private-subnet"  # whose name servers guests can reach
EMPTY_SUBNET, EMPTY_SUBNET_ADDRESS = "198.51.100.0/29", "198.51.100.2"
COMPUTE_QUOTAS = {"instances": "instances", "cores": "cores", "memory_mb": "ram"}
NETWORK_QUOTAS = {"floating_addresses": "floating_ips", "security_groups": "security_groups"}
TOO_LARGE_GB = 100_000_000  # a disk that no host has


class OpenStackProject:
    """One project, as its user (`env`, `connect`) and as the administrator sees it (the rest).

    It has a keypair (`KEYPAIR`, its private key in the file `identity`) and a network `private` with a router; the
    cloud's images, flavors and its network `public` are there for all projects.
    """

    def __init__(self, cloud: OpenStack, admin: Any, directory: Path) -> None:
        self.cloud, self._admin = cloud, admin
        self.name, self._password = f"celeriac-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
        self.config, self.identity = directory / "clouds.yaml", directory / "identity"
        self.env = {"OS_CLIENT_CONFIG_FILE": str(self.config), "OS_CLOUD": CLOUD}
        self.auth = {
            **cloud.auth(),
            "username": self.name,
            "password": self._password,
            "project_name": self.name,
        }
        self.id = ""
        self._user: Any = None

    def make(self) -> None:
        """Make the project, its user, network and keypair."""
        self.write_config(self.config)
        self._make_project()
        self._make_network()
        self._make_keypair()

    def write_config(
        self, path: Path, *, region: str = "RegionOne", kind: str = "password", **changes: Any
    ) -> None:
        """Write a clouds.yaml whose cloud `rig` is this project.

        `changes` are to its credentials, None removes one; those that end in `_override` are the addresses of services.
        """
        overrides = {name: value for name, value in changes.items() if name.endswith("_override")}
        merged = {**self.auth, **changes}
        auth = {name: value for name, value in merged.items() if value is not None and name not in overrides}
        cloud = {"auth_type": kind, "auth": auth, "region_name": region, **overrides}
        path.write_text(json.dumps({"clouds": {CLOUD: cloud}}))

    def connect(self, monkeypatch: pytest.MonkeyPatch) -> OpenStackCloud:
        """The project through the launcher's adapter, by the variables that a user sets."""
        for name, value in self.env.items():
            monkeypatch.setenv(name, value)
        return connect()

    @contextlib.contextmanager
    def as_user(self) -> Iterator[Any]:
        """The project through openstacksdk itself, for what the launcher does not do."""
        from openstack.connection import Connection

        connection = Connection(config=region_of(self.config, CLOUD))
        try:
            yield connection
        finally:
            connection.session.close()

    @contextlib.contextmanager
    def limits(self, **limits: int | None) -> Iterator[None]:
        """Limit what the project may have, in the words of `cloud.Quota`; None is without limit."""
        wanted = {name: -1 if limit is None else limit for name, limit in limits.items()}
        compute = {COMPUTE_QUOTAS[name]: limit for name, limit in wanted.items() if name in COMPUTE_QUOTAS}
        network = {NETWORK_QUOTAS[name]: limit for name, limit in wanted.items() if name in NETWORK_QUOTAS}
        self._set_quotas(compute, network)
        try:
            yield
        finally:
            self._admin.compute.revert_quota_set(self.id)
            self._admin.network.delete_quota(self.id)

    @contextlib.contextmanager
    def empty_pool(self) -> Iterator[str]:
        """Yield the name of an external network, of this project only, whose one floating address is taken."""
        network, name = self._admin.network, f"{self.name}-empty"
        made = network.create_network(name=name, project_id=self.id)
        try:
            network.create_subnet(
                name=name,
                network_id=made.id,
                project_id=self.id,
                cidr=EMPTY_SUBNET,
                ip_version=4,
                is_dhcp_enabled=False,
                allocation_pools=[{"start": EMPTY_SUBNET_ADDRESS, "end": EMPTY_SUBNET_ADDRESS}],
            )
            network.create_rbac_policy(
                object_type="network",
                object_id=made.id,
                action="access_as_external",
                target_project_id=self.id,
            )
            port = network.create_port(network_id=made.id)
            yield name
            network.delete_port(port)
        finally:
            network.delete_network(made)

    @contextlib.contextmanager
    def failing_flavor(self) -> Iterator[str]:
        """The name of a flavor that fits on no host: servers of it end in ERROR."""
        name = f"{self.name}-huge"
        flavor = self._admin.compute.create_flavor(name=name, vcpus=1, ram=1024, disk=TOO_LARGE_GB)
        try:
            yield name
        finally:
            self._admin.compute.delete_flavor(flavor)

    def leftovers(self) -> list[str]:
        """What is in the project beside the network: kind and name or address of each."""
        found = self._contents()
        return [f"{kind} {thing.name}" for kind, things in found.items() for thing in things]

    def clean(self) -> None:
        """Delete all that is in the project beside the network and the keypair, and wait until it is gone."""
        found = self._contents()
        for server in found["server"]:
            self._admin.compute.delete_server(server)
        for address in found["floating address"]:
            self._admin.network.delete_ip(address)
        for image in found["image"]:
            self._admin.image.delete_image(image)
        wait_until(lambda: not self._contents()["server"], what="the project has no server")
        for group in found["security group"]:
            self._admin.network.delete_security_group(group)

    def close(self) -> None:
        """Delete the project and everything in it."""
        if not self.id:
            return
        self.clean()
        network = self._admin.network
        for router in network.routers(project_id=self.id):
            for port in network.ports(device_id=router.id, device_owner="network:router_interface"):
                network.remove_interface_from_router(router, port=port.id)
            network.delete_router(router)
        for each in network.networks(project_id=self.id):
            network.delete_network(each)
        for group in network.security_groups(project_id=self.id):
            network.delete_security_group(group)
        if self._user is not None:
            self._admin.identity.delete_user(self._user)
        self._admin.identity.delete_project(self.id)

    def _make_project(self) -> None:
        identity = self._admin.identity
        project = identity.create_project(name=self.name, domain_id="default")
        self.id = str(project.id)
        self._user = identity.create_user(
            name=self.name, password=self._password, domain_id="default", default_project_id=project.id
        )
        identity.assign_project_role_to_user(project, self._user, identity.find_role("member"))

    def _make_network(self) -> None:
        network = self._admin.network
        made = network.create_network(name=PRIVATE_NETWORK, project_id=self.id)
        subnet = network.create_subnet(
            name=PRIVATE_NETWORK,
            network_id=made.id,
            project_id=self.id,
            cidr=SUBNET,
            ip_version=4,
            dns_nameservers=network.find_subnet(RIGS_SUBNET).dns_nameservers,
        )
        external = network.find_network(EXTERNAL_NETWORK)
        router = network.create_router(
            name="router", project_id=self.id, external_gateway_info={"network_id": external.id}
        )
        network.add_interface_to_router(router, subnet=subnet.id)

    def _make_keypair(self) -> None:
        with self.as_user() as user:
            key = user.compute.create_keypair(name=KEYPAIR)
        self.identity.write_text(key.private_key)
        self.identity.chmod(0o600)

    def _set_quotas(self, compute: dict[str, int], network: dict[str, int]) -> None:
        if compute:
            self._admin.compute.update_quota_set(self.id, **compute)
        if network:
            self._admin.network.update_quota(self.id, **network)

    def _contents(self) -> dict[str, list[Any]]:
        groups = self._admin.network.security_groups(project_id=self.id)
        servers = self._admin.compute.servers(all_projects=True, project_id=self.id)
        return {
            # One that is gone may be listed for a moment longer.
            "server": [server for server in servers if server.status != "DELETED"],
            "floating address": list(self._admin.network.ips(project_id=self.id)),
            "security group": [group for group in groups if group.name != "default"],
            "image": list(self._admin.image.images(owner=self.id)),
        }


@contextlib.contextmanager
def openstack_project(cloud: OpenStack, directory: Path) -> Iterator[OpenStackProject]:
    """A project that is gone afterwards; its clouds.yaml and key are in the directory."""
    with cloud.admin() as admin:
        project = OpenStackProject(cloud, admin, directory)
        try:
            project.make()
            yield project
        finally:
            project.close()


# Fixtures, for the conftest or the module that imports them.


@pytest.fixture(scope="session")
def openstack() -> Iterator[OpenStack]:
    """The OpenStack that the tests share."""
    with running_openstack(must_have_rig()) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def shared_project(
    openstack: OpenStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenStackProject]:
    """One project for many tests: making it takes some seconds."""
    with openstack_project(openstack, tmp_path_factory.mktemp("openstack")) as project:
        yield project


@pytest.fixture
def project(shared_project: OpenStackProject) -> Iterator[OpenStackProject]:
    """A project in which nothing is left afterwards, whatever the test made."""
    yield shared_project
    shared_project.clean()
