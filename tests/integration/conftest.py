from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.services.processes import free_ports
from tests.small_models import write_slow_model, write_table_model


@pytest.fixture(scope="session")
def model_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with `table`, and with `slow`, of which a batch takes some 20 ms."""
    folder: Path = tmp_path_factory.mktemp("store")
    write_table_model(folder)
    write_slow_model(folder)
    return str(folder)


@pytest.fixture
def metrics_port() -> int:
    """A port before two that are free."""
    while True:
        (port,) = free_ports(1)
        with suppress(OSError):
            for number in (1, 2):
                socket.create_server(("127.0.0.1", port + number)).close()
            return port
