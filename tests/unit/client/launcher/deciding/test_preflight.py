"""What is chosen for an instance, and what would stop it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from client.launcher.cloud import Belongings, Flavor, Image, Inventory, Keypair, Mark, Network, Quota, Server
from client.launcher.deciding.labels import COMMIT, DOMAIN, MODE
from client.launcher.deciding.preflight import preflight
from client.launcher.deciding.request import NONE, LaunchRequest
from client.launcher.machine.mode import Mode
from client.launcher.machine.role import Role
from testing.fake_cloud import FakeCloud

NOTHING = Belongings()
INVENTORY = FakeCloud().inventory()
WANTED = LaunchRequest("lab", flavor="m1.small")


def faults(
    request: LaunchRequest, inventory: Inventory = INVENTORY, existing: Belongings = NOTHING
) -> list[str]:
    return [str(fault) for fault in preflight(request, inventory, existing)[1]]


def test_what_there_is_one_of_is_taken_and_said() -> None:
    choices, found = preflight(WANTED, INVENTORY, NOTHING)

    assert found == ()
    assert choices.image is not None and choices.image.name == "debian-12"
    assert choices.network is not None and choices.network.name == "private"
    assert choices.floating_network is not None and choices.floating_network.name == "public"
    assert choices.notes == (
        "image debian-12: the only one",
        "network private: the only one",
        "keypair laptop: the only one",
        "floating-network public: the only one",
    )


def test_pushes_are_not_taken_in_containers() -> None:
    wanted = replace(WANTED, flavor="m1.medium", mode=Mode.DOCKER, takes_pushes=True)

    assert faults(wanted) == [
        "models-repository: expected mode systemd for an instance that takes pushes, got docker"
    ]


DEVELOPMENT = replace(WANTED, flavor=None, role=Role.DEVELOPMENT)


def test_training_needs_a_larger_flavor_than_serving() -> None:
    choices, found = preflight(DEVELOPMENT, INVENTORY, NOTHING)

    assert found == ()
    assert choices.flavor is not None and choices.flavor.name == "m1.large"


def test_a_machine_keeps_its_role() -> None:
    server = Server(
        "server-1", "lab", "ACTIVE", "2026-01-02", metadata={COMMIT: "f" * 40}, mark=Mark("lab", "r")
    )

    assert faults(DEVELOPMENT, existing=Belongings((server,))) == [
        "role: expected production, as lab was launched; stop_instance.py lab removes it, got development"
    ]


def test_nobody_trains_on_what_was_baked_to_serve() -> None:
    baked = Image("image-9", "baked", "active", properties={COMMIT: "f" * 40})
    inventory = replace(INVENTORY, images=(*INVENTORY.images, baked))

    assert faults(replace(DEVELOPMENT, image="baked"), inventory) == [
        "image: expected one that was not baked: it has what serves in it, got baked"
    ]


def test_several_candidates_are_listed() -> None:
    assert faults(replace(WANTED, flavor=None)) == [
        "flavor: expected one of m1.large, m1.medium, m1.small, got nothing"
    ]


def test_something_is_found_by_its_id_too() -> None:
    choices, found = preflight(replace(WANTED, flavor="flavor-3", image="image-1"), INVENTORY, NOTHING)

    assert found == ()
    assert choices.flavor is not None and choices.flavor.name == "m1.medium"


def test_two_of_one_name_must_be_told_apart_by_id() -> None:
    twins = replace(
        INVENTORY, networks=(*INVENTORY.networks, Network("network-9", "private", is_external=False))
    )

    assert faults(replace(WANTED, network="private"), twins) == [
        "network: expected an id, since 2 have this name: network-1, network-9, got 'private'"
    ]


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("image", "image: expected one of debian-12, got 'gone'"),
        ("flavor", "flavor: expected one of m1.large, m1.medium, m1.small, m1.tiny, got 'gone'"),
        ("network", "network: expected one of private, public, got 'gone'"),
        ("keypair", "keypair: expected one of laptop, got 'gone'"),
        ("security_group", "security-group: expected one of default, got 'gone'"),
        ("floating_network", "floating-network: expected one of public, got 'gone'"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(option: str, line: str) -> None:
    assert faults(replace(WANTED, **{option: "gone"})) == [line]  # type: ignore[arg-type]


def test_all_faults_are_reported_together() -> None:
    found = faults(replace(WANTED, image="gone", flavor="m1.tiny", keypair="gone"))

    assert [fault.partition(":")[0] for fault in found] == ["image", "flavor", "keypair"]


def test_a_flavor_that_is_too_small_is_a_fault() -> None:
    assert faults(replace(WANTED, flavor="m1.tiny")) == [
        "flavor: expected at least 1000 MB of memory and 6 GB of disk: m1.large, m1.medium, m1.small, got m1.tiny with 512 MB and 1 GB"  # noqa: E501 # as it is
    ]


def test_an_image_may_ask_for_more_than_the_service_does() -> None:
    large = replace(INVENTORY, images=(Image("image-1", "large", "active", min_disk_gb=30),))

    assert "at least 1000 MB of memory and 30 GB of disk: m1.large" in faults(WANTED, large)[0]


def test_a_flavor_whose_disk_is_as_large_as_the_image_is_taken() -> None:
    diskless = replace(INVENTORY, flavors=(Flavor("flavor-1", "volume", 1, 2048, 0),))

    assert faults(replace(WANTED, flavor=None), diskless) == []


def test_an_image_that_is_not_active_is_a_fault() -> None:
    saving = replace(INVENTORY, images=(Image("image-1", "mine", "saving"),))

    assert faults(replace(WANTED, image="mine"), saving) == ["image: expected mine to be active, got saving"]


def test_an_empty_project_says_what_it_lacks() -> None:
    empty = replace(INVENTORY, images=(), networks=(), keypairs=())

    assert faults(WANTED, empty) == [
        "image: expected one that exists; there is none, got nothing",
        "network: expected one that exists; there is none, got nothing",
        "keypair: expected one that exists; there is none, got nothing",
    ]


def test_every_quota_that_is_used_up_is_a_fault() -> None:
    full = replace(INVENTORY, quota=Quota(0, 0, 512, 0, 0))

    assert faults(WANTED, full) == [
        "quota: expected 1 floating IPs to be left, got 0",
        "quota: expected 1 security groups to be left, got 0",
        "quota: expected 1 instances to be left, got 0",
        "quota: expected 1 cores to be left, got 0",
        "quota: expected 1024 MB of memory to be left, got 512",
    ]


def test_a_quota_without_limit_is_none() -> None:
    assert faults(WANTED, replace(INVENTORY, quota=Quota(None, None, None, None, None))) == []


def test_no_floating_address_is_taken_where_none_is_wanted_or_none_exists() -> None:
    own_only = replace(INVENTORY, networks=INVENTORY.networks[:1])

    unwanted, _ = preflight(replace(WANTED, floating_network=NONE), INVENTORY, NOTHING)
    impossible, found = preflight(WANTED, own_only, NOTHING)

    assert unwanted.floating_network is None
    assert impossible.floating_network is None and found == ()
    assert "no floating IP: the project sees no external network" in impossible.notes


def test_what_exists_needs_no_choice_and_no_quota() -> None:
    server = Server("server-1", "lab", "ACTIVE", "2026-01-02T00:00:00Z", mark=Mark("lab", "run"))
    full = replace(INVENTORY, quota=Quota(0, 0, 0, 10, 10), keypairs=(Keypair("a", "a"), Keypair("b", "b")))

    choices, found = preflight(LaunchRequest("lab"), full, Belongings(servers=(server,)))

    assert found == ()
    assert choices.server == server and choices.image is None


def test_an_instance_in_error_stands_in_the_way() -> None:
    server = Server(
        "server-1", "lab", "ERROR", "2026-01-02T00:00:00Z", fault="No valid host", mark=Mark("lab", "run")
    )

    assert faults(WANTED, existing=Belongings(servers=(server,))) == [
        "name: expected an instance that can go on; stop_instance.py removes this one, got one in ERROR: No valid host"
    ]


def of_mode(mode: Mode | None) -> dict[str, str]:
    """What an instance of a mode carries, or one of before there were modes."""
    return {COMMIT: "0" * 40} | ({MODE: str(mode)} if mode else {})


@pytest.mark.parametrize(
    ("asked", "baked", "taken"),
    [
        (None, {}, Mode.SYSTEMD),
        (Mode.DOCKER, {}, Mode.DOCKER),
        (None, of_mode(Mode.DOCKER), Mode.DOCKER),
        (None, of_mode(None), Mode.SYSTEMD),
        (Mode.SYSTEMD, of_mode(None), Mode.SYSTEMD),
        (None, {MODE: "docker"}, Mode.SYSTEMD),
    ],
)
def test_the_mode_is_the_images_or_the_one_that_was_asked_for(
    asked: Mode | None, baked: dict[str, str], taken: Mode
) -> None:
    image = replace(INVENTORY, images=(Image("image-1", "image", "active", properties=baked),))

    choices, found = preflight(replace(WANTED, mode=asked, flavor="m1.medium"), image, NOTHING)

    assert found == ()
    assert choices.mode is taken


def test_an_image_that_was_baked_for_another_mode_is_a_fault() -> None:
    image = Image("image-1", "baked", "active", properties=of_mode(Mode.DOCKER))

    assert faults(
        replace(WANTED, mode=Mode.SYSTEMD, flavor="m1.medium"), replace(INVENTORY, images=(image,))
    ) == ["mode: expected docker, for which image baked was baked; or another image, got systemd"]


@pytest.mark.parametrize("launched", [None, Mode.SYSTEMD])
def test_an_instance_does_not_change_its_mode(launched: Mode | None) -> None:
    server = Server("server-1", "lab", "ACTIVE", "2026-01-02T00:00:00Z", metadata=of_mode(launched))

    assert faults(LaunchRequest("lab", mode=Mode.DOCKER), existing=Belongings(servers=(server,))) == [
        "mode: expected systemd, as lab was launched; stop_instance.py lab removes it, got docker"
    ]


def test_containers_need_a_larger_flavor_and_say_so() -> None:
    assert faults(replace(WANTED, mode=Mode.DOCKER, flavor="m1.small"))[0].startswith(
        "flavor: expected at least 2000 MB of memory and 10 GB of disk: m1.large, m1.medium, got m1.small"
    )


def test_an_image_that_is_known_to_be_too_old_for_containers_is_a_fault() -> None:
    properties = {"os_distro": "debian", "os_version": "12"}
    old = replace(INVENTORY, images=(Image("image-1", "old", "active", properties=properties),))

    assert faults(replace(WANTED, flavor="m1.medium"), old) == []
    assert faults(replace(WANTED, flavor="m1.medium", mode=Mode.DOCKER), old) == [
        "image: expected Debian 13 or Ubuntu 24.04 for containers, got old, Debian 12"
    ]


def test_a_name_in_the_dns_is_the_one_that_was_asked_for_and_then_the_instances() -> None:
    named = replace(WANTED, domain="lab.example.org")
    metadata = {COMMIT: "0" * 40, DOMAIN: "first.example.org"}
    server = Server("server-7", "lab", "ACTIVE", "2026-01-02T00:00:00Z", metadata=metadata)

    assert preflight(WANTED, INVENTORY, NOTHING)[0].domain is None
    assert preflight(named, INVENTORY, NOTHING)[0].domain == "lab.example.org"
    for request in (WANTED, named):
        existing = Belongings(servers=(server,))
        assert preflight(request, INVENTORY, existing)[0].domain == "first.example.org"
        unnamed = Belongings(servers=(replace(server, metadata={COMMIT: "0" * 40}),))
        assert preflight(request, INVENTORY, unnamed)[0].domain is None


def test_an_image_with_containers_takes_no_name() -> None:
    image = Image("image-1", "baked", "active", properties=of_mode(Mode.DOCKER))
    request = replace(WANTED, flavor="m1.medium", domain="lab.example.org")

    assert faults(request, replace(INVENTORY, images=(image,))) == [
        "domain: expected mode systemd for an instance with a name, got docker"
    ]
