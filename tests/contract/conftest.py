"""A running service for tests that hold it against descriptions of protocols."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from testing.celeriac import Celeriac, celeriac
from testing.small_models import write_image_model, write_table_model

ONE_COLUMN: dict[str, Any] = {
    "inputs": [{"name": "features", "shape": [None, 1], "dtype": "float32"}],
    "features": [{"name": "x", "label": "X", "minimum": 0, "maximum": 9, "example": 1}],
}


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    """With the small models, and `half_plus_three` in the versions 122 and 123: a model of one column."""
    folder = tmp_path_factory.mktemp("protocols")
    store = folder / "store"
    write_table_model(store)
    write_image_model(store)
    for version in ("122", "123"):
        write_table_model(store, "half_plus_three", version, **ONE_COLUMN)
    with celeriac(folder, MODEL_STORE=str(store)) as running:
        yield running
