"""What OpenStack's services answer becomes the launcher's values; only our own marks are read as marks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from client.errors import Refused
from client.launcher.cloud import Mark, Rule
from client.launcher.openstack.values import (
    description_of,
    floating_address_from,
    image_from,
    is_going,
    left,
    mark_in_description,
    mark_in_metadata,
    metadata_of,
    rule_attributes,
    security_group_from,
    server_from,
    tags_of,
)

MARK = Mark("lab", "20260102-ab12")
RULE = {
    "direction": "ingress",
    "ethertype": "IPv4",
    "protocol": "tcp",
    "port_range_min": 22,
    "port_range_max": 22,
    "remote_ip_prefix": "192.0.2.0/24",
    "remote_group_id": None,
}


def group(*rules: dict[str, Any], description: str = "") -> SimpleNamespace:
    return SimpleNamespace(id="1", name="web", description=description, security_group_rules=rules)


def test_a_mark_is_read_back_as_it_was_written() -> None:
    assert mark_in_description(description_of(MARK)) == MARK
    assert mark_in_metadata({"commit": "0123abc", **metadata_of(MARK)}) == MARK


@pytest.mark.parametrize(
    "description",
    [
        None,
        "",
        "celeriac",
        "celeriac-name=lab",
        "celeriac-name= celeriac-run=1",
        "celeriac-name=lab celeriac-run=",
        "celeriac-name=lab  celeriac-run=1",
        "celeriac-name=lab celeriac-run=1 ",
        "celeriac-name=lab celeriac-run=1\n",
        "my celeriac-name=lab celeriac-run=1",
        "celeriac-name=lab celeriac-run=1 celeriac-run=2",
        "celeriac-run=1 celeriac-name=lab",
        "Celeriac-Name=lab celeriac-run=1",
        "celeriac-name=-lab celeriac-run=1",
        "celeriac-name=läb celeriac-run=1",
        f"celeriac-name={'l' * 64} celeriac-run=1",
    ],
)
def test_what_resembles_a_mark_is_none(description: str | None) -> None:
    assert mark_in_description(description) is None


@pytest.mark.parametrize(
    "metadata",
    [{}, {"celeriac-name": "lab"}, {"celeriac-run": "1"}, {"celeriac-name": "a b", "celeriac-run": "1"}],
)
def test_half_of_a_mark_is_none(metadata: dict[str, str]) -> None:
    assert mark_in_metadata(metadata) is None


def test_a_mark_that_could_not_be_read_back_is_not_written() -> None:
    for mark in (Mark("two words", "1"), Mark("lab", ""), Mark("l" * 64, "1")):
        with pytest.raises(ValueError, match="letters"):
            metadata_of(mark)


def test_a_tag_that_is_too_long_for_a_cloud_is_left_out() -> None:
    assert tags_of(MARK) == ["celeriac", "celeriac-name=lab"]
    assert tags_of(Mark("l" * 50, "1")) == ["celeriac"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Rule(22, "192.0.2.0/24")),
        ({"protocol": "6"}, Rule(22, "192.0.2.0/24")),
        ({"remote_ip_prefix": None}, Rule(22, "0.0.0.0/0")),
        ({"remote_ip_prefix": None, "ethertype": "IPv6"}, Rule(22, "::/0")),
        ({"remote_ip_prefix": "192.0.2.7/24"}, Rule(22, "192.0.2.0/24")),
        ({"remote_ip_prefix": "2001:DB8::/32", "ethertype": "IPv6"}, Rule(22, "2001:db8::/32")),
    ],
)
def test_a_rule_for_one_port_is_read(changes: dict[str, Any], expected: Rule) -> None:
    assert security_group_from(group(RULE | changes)).rules == {expected}


@pytest.mark.parametrize(
    "changes",
    [
        {"direction": "egress"},
        {"protocol": "udp"},
        {"protocol": None},
        {"port_range_max": 80},
        {"port_range_min": None, "port_range_max": None},
        {"remote_group_id": "1", "remote_ip_prefix": None},
        {"remote_address_group_id": "1", "remote_ip_prefix": None},
    ],
)
def test_other_rules_are_ignored(changes: dict[str, Any]) -> None:
    assert security_group_from(group(RULE | changes)).rules == frozenset()


def test_a_rule_is_written_for_its_kind_of_address() -> None:
    assert rule_attributes("1", Rule(22, "2001:db8::/32"))["ether_type"] == "IPv6"
    assert rule_attributes("1", Rule(22, "192.0.2.0/24"))["ether_type"] == "IPv4"
    with pytest.raises(Refused):
        rule_attributes("1", Rule(22, "192.0.2.7/24"))


def test_an_address_that_points_to_something_else_points_to_no_server() -> None:
    def pointing_to(owner: str) -> Any:
        port = {"device_id": "device", "device_owner": owner}
        return floating_address_from(
            SimpleNamespace(
                id="1",
                floating_ip_address="203.0.113.7",
                floating_network_id="2",
                port_id="3",
                port_details=port,
                description=description_of(MARK),
            )
        )

    assert pointing_to("compute:nova").server_id == "device"
    assert pointing_to("network:router_interface").server_id is None


def test_an_images_properties_are_its_strings() -> None:
    image = SimpleNamespace(
        id="1",
        name=None,
        status="active",
        min_disk=None,
        min_ram=512,
        os_distro="debian",
        os_admin_user=None,
        properties={"celeriac_commit": "0123abc", "stores": ["disk"], "hidden": None},
    )

    found = image_from(image)

    assert (found.name, found.min_disk_gb, found.min_memory_mb) == ("", 0, 512)
    assert found.properties == {"os_distro": "debian", "celeriac_commit": "0123abc"}


def test_a_server_shows_its_own_addresses_and_metadata() -> None:
    server = SimpleNamespace(
        id="1",
        name="lab",
        status="ERROR",
        created_at="2026-01-02T03:04:05Z",
        task_state=None,
        fault={"code": 500, "message": "No valid host was found."},
        addresses={
            "private": [
                {"addr": "10.0.0.7", "version": 4, "OS-EXT-IPS:type": "fixed"},
                {"addr": "203.0.113.7", "version": 4, "OS-EXT-IPS:type": "floating"},
            ]
        },
        metadata={**metadata_of(MARK), "commit": "0123abc"},
        security_groups=[{"name": "web"}],
    )

    found = server_from(server)

    assert (found.addresses, found.metadata) == (("10.0.0.7",), {"commit": "0123abc"})
    assert (found.fault, found.security_groups, found.mark) == ("No valid host was found.", ("web",), MARK)


@pytest.mark.parametrize(
    ("status", "task", "expected"),
    [
        ("ACTIVE", None, False),
        ("ACTIVE", "deleting", True),
        ("DELETED", None, True),
        ("SOFT_DELETED", None, True),
    ],
)
def test_a_server_that_is_being_deleted_is_going(status: str, task: str | None, expected: bool) -> None:
    assert is_going(SimpleNamespace(status=status, task_state=task)) is expected


def test_what_a_quota_leaves() -> None:
    assert left() is None
    assert left(-1, used=3) is None
    assert left(10, used=3, reserved=2) == 5
    assert left(2, used=3) == 0
