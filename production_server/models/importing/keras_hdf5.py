"""Legacy HDF5 files of Keras 1, 2 and 3 that hold a whole model: configuration and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from production_server.errors import InvalidInput
from production_server.models.importing import keras_config, keras_model
from production_server.models.importing.hdf5 import check_hdf5, damaged
from production_server.models.importing.keras_weights import load_weights

if TYPE_CHECKING:
    from pathlib import Path

    from production_server.models.importing.opened import Opened


def read(path: Path, into: Path) -> Opened:
    """Read a whole model and write what is served of it into `into`.

    Raises:
        InvalidInput: it is damaged, holds weights alone, or has what is not served; the field names it.
        TooLarge: it declares more than may be read.
    """
    check_hdf5(path)
    config, version = _configuration(path)
    return open_pair(config, path, into, version=version)


def open_pair(config: Any, weights: Path, into: Path, *, version: str) -> Opened:
    """A configuration and a checked file of weights, written by Keras `version`."""
    reading = keras_config.Reading(major(version))
    checked = keras_config.read_model(config, reading)
    model = keras_model.build(checked)
    load_weights(model, weights, reading.note)
    keras_model.check_weights(model)
    return keras_model.open_model(model, into, producer=f"keras {version}", reading=reading)


def major(version: str) -> int:
    """The number in front: 2 of `2.8.0`, and of `2.4.0-tf` as well."""
    first = version.split(".", 1)[0]
    return int(first) if first.isascii() and first.isdigit() else 2


def _configuration(path: Path) -> tuple[Any, str]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            written, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "1")
    except (OSError, RuntimeError, KeyError, TypeError) as exc:
        raise damaged(exc) from exc
    if not isinstance(written, str | bytes):
        raise InvalidInput.at(
            "file",
            "a whole model (or its architecture, model.json, with these as its weights)",
            "weights alone",
        )
    return keras_config.parse(written), version.decode() if isinstance(version, bytes) else str(version)
