from __future__ import annotations

import pytest

from production_server.access.addresses import counted_as


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("some-socket", "some-socket"),
        ("x" * 300, "x" * 64),
    ],
)
def test_an_address_counts_as_itself_and_one_of_ipv6_as_its_customers_network(
    address: str, counted: str
) -> None:
    assert counted_as(address) == counted


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", ""])
def test_of_this_machine_itself_nothing_is_counted(address: str) -> None:
    assert counted_as(address) is None
