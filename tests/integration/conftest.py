from __future__ import annotations

from pathlib import Path

import pytest

from testing.small_models import write_slow_model, write_table_model


@pytest.fixture(scope="session")
def model_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with `table`, and with `slow`, of which a batch takes some 20 ms."""
    folder: Path = tmp_path_factory.mktemp("store")
    write_table_model(folder)
    write_slow_model(folder)
    return str(folder)
