from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from production_server.errors import SettingsError
from production_server.run.address import listen, take_addresses
from production_server.settings import Settings
from testing.processes import free_ports


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_host_name_becomes_an_address() -> None:
    (taken,) = take_addresses(Settings(host="localhost", port=0))

    with taken:
        assert taken.getsockname()[0] in ("127.0.0.1", "::1")


def test_an_address_that_is_taken_refuses_clients_until_somebody_listens() -> None:
    (taken,) = take_addresses(Settings(host="127.0.0.1", port=0))

    with taken, pytest.raises(ConnectionRefusedError):
        socket.create_connection(taken.getsockname(), timeout=5)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70, "a..b", "203.0.113.1"])
def test_a_host_that_is_not_this_machine_is_a_fault_of_the_settings(host: str) -> None:
    with pytest.raises(SettingsError, match="HOST, PORT: expected an address that can be listened on"):
        take_addresses(Settings(host=host, port=0))


def test_a_port_in_use_is_a_fault_of_the_settings(taken_port: int) -> None:
    with pytest.raises(SettingsError, match=f"127.0.0.1:{taken_port}"):
        take_addresses(Settings(host="127.0.0.1", port=taken_port))


def test_a_second_port_in_use_is_named_and_the_first_one_is_let_go(taken_port: int) -> None:
    (port,) = free_ports(1)

    with pytest.raises(SettingsError, match=f"HOST, HTTP_PORT: .* 127.0.0.1:{taken_port}"):
        take_addresses(Settings(port=port, http_port=taken_port))

    with socket.create_server(("127.0.0.1", port)) as again:
        assert again.getsockname()[1] == port


def test_of_two_servers_that_took_one_address_at_once_the_second_is_refused() -> None:
    (port,) = free_ports(1)
    settings = Settings(port=port)

    (first,), (second,) = take_addresses(settings), take_addresses(settings)

    with first, second:
        listen(first)

        with pytest.raises(SettingsError, match=f"127.0.0.1:{port} .Address already in use"):
            listen(second)
