"""An architecture in JSON, as `model.to_json()` writes it, with the HDF5 file of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from production_server.errors import InvalidInput
from production_server.models.importing import keras_config
from production_server.models.importing.hdf5 import check_hdf5
from production_server.models.importing.keras_hdf5 import open_pair

if TYPE_CHECKING:
    from pathlib import Path

    from production_server.models.importing.opened import Opened

MOST_BYTES = 64 * 2**20


def read(path: Path, into: Path, *, weights: Path) -> Opened:
    """Read the architecture in `path` with `weights` and write what is served of it into `into`.

    Raises:
        InvalidInput: one of the files is damaged, they do not belong together, or a layer is not served.
        TooLarge: a file declares more than may be read.
    """
    if path.stat().st_size > MOST_BYTES:
        raise InvalidInput.at(
            "file", f"an architecture of at most {MOST_BYTES // 2**20} MiB", "a larger file"
        )
    config = keras_config.parse(path.read_bytes())
    check_hdf5(weights, field="weights")
    return open_pair(config, weights, into, version=_version(config))


def _version(config: Any) -> str:
    """Keras 2 writes it down; Keras 3 does not, but each of its objects has a module."""
    if not isinstance(config, dict):
        return "1"
    return str(config.get("keras_version", "3" if "module" in config else "1"))
