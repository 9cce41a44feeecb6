"""Configurations that are damaged in one place, whichever: they are read, or refused in a sentence."""

from __future__ import annotations

import contextlib
import copy
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.errors import InvalidInput
from production_server.models.importing import keras_config
from tests.unit.models.importing.conftest import KERAS_2

JUNK: list[Any] = [
    None, True, 0, -1, 10**30, 0.5, "", "x", [], [[]], [0], ["a", 0, 0], ["a", 0, 0, {}], {}, {"class_name": {}},
    {"class_name": "Dense"}, {"class_name": "Dense", "config": []}, {"class_name": []}, {"config": {}},
    {"class_name": "Sequential", "config": {"layers": [{}]}}, {"type": "ndarray"},
]  # fmt: skip


def configurations() -> Iterator[Any]:
    for name in ("mlp", "recurrent", "nested", "operations", "attention", "two_inputs"):
        with h5py.File(KERAS_2 / f"{name}.h5") as file:
            yield json.loads(file.attrs["model_config"])
        with zipfile.ZipFile(KERAS_2 / f"{name}.keras") as archive:
            yield json.loads(archive.read("config.json"))


CONFIGURATIONS = list(configurations())


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container in a value, with each of its keys or indexes."""
    pairs = list(
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in pairs:
        yield value, key
        yield from places(inner)


@given(st.sampled_from(CONFIGURATIONS), st.integers(0), st.sampled_from(JUNK), st.integers(1, 3))
def test_a_configuration_with_something_else_in_any_place_is_read_or_refused(
    whole: Any, place: int, junk: Any, keras: int
) -> None:
    config = copy.deepcopy(whole)
    found = list(places(config))
    container, key = found[place % len(found)]
    container[key] = copy.deepcopy(junk)

    with contextlib.suppress(InvalidInput):
        assert keras_config.read_model(config, keras_config.Reading(keras))["config"]["layers"]


@pytest.mark.parametrize("whole", CONFIGURATIONS)
def test_one_that_is_not_damaged_is_read(whole: Any) -> None:
    """All of them are Keras 2's, in one kind of file or the other."""
    assert keras_config.read_model(whole, keras_config.Reading(2))["config"]["layers"]
