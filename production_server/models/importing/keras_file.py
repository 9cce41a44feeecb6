"""`.keras` files, of Keras 3 and of the last versions of Keras 2: a zip of configuration, weights and words.

What Keras loads is a file written anew of what was checked, and so is `model.keras` where it serves a version.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from production_server.errors import InvalidInput, TooLarge
from production_server.models.importing import keras_config, keras_model
from production_server.models.importing.foreign_errors import is_out_of_room, refusing
from production_server.models.importing.hdf5 import MOST_BYTES, check_hdf5
from production_server.models.importing.keras_hdf5 import major
from production_server.models.importing.opened import KERAS_FILE
from production_server.shown import shown

if TYPE_CHECKING:
    from production_server.models.importing.opened import Opened

CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets/"
MOST_MEMBERS = 1000
MOST_CONFIG_BYTES = 64 * 2**20
_PIECE = 2**20


def read(path: Path, into: Path) -> Opened:
    """Read a model and write what is served of it into `into`.

    Raises:
        InvalidInput: it is damaged, or has what is not served; the field names it.
        TooLarge: it unpacks to more than may be read.
    """
    import keras

    with tempfile.TemporaryDirectory(dir=into, prefix=".") as folder:
        clean, version, reading = _unpack(path, Path(folder))
        with refusing(keras_model.not_taken):
            model = keras.saving.load_model(
                clean, custom_objects=keras_model.functions(), compile=False, safe_mode=True
            )
        keras_model.check_weights(model)
        return keras_model.open_model(model, into, producer=f"keras {version}", reading=reading)


def _unpack(path: Path, folder: Path) -> tuple[Path, str, keras_config.Reading]:
    """A file written anew of what was checked, the Keras that wrote the old one, and what was converted."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive)
            metadata = keras_config.parse(archive.read(METADATA))
            version = str(metadata.get("keras_version", "3")) if isinstance(metadata, dict) else "3"
            reading = keras_config.Reading(major(version))
            config = keras_config.read_model(keras_config.parse(archive.read(CONFIG)), reading)
            with (folder / WEIGHTS).open("wb") as file:
                _copy(archive, WEIGHTS, file)
            check_hdf5(folder / WEIGHTS)
            _write_clean(archive, folder / KERAS_FILE, config, folder / WEIGHTS)
            return folder / KERAS_FILE, version, reading
    # What zipfile raises of damaged files.
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        NotImplementedError,
        OSError,
        RuntimeError,
    ) as exc:
        if is_out_of_room(exc):
            raise
        raise InvalidInput.at(
            "file", "a whole .keras file", f"one that is cut off or damaged ({exc})"
        ) from exc


def _check_members(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    names = [each.filename for each in members]
    if len(names) > MOST_MEMBERS or sum(each.file_size for each in members) > MOST_BYTES + _PIECE:
        raise TooLarge.at("file", f"at most {MOST_BYTES // 2**30} GiB in {MOST_MEMBERS} members", "more")
    for each in members:
        if each.filename in (CONFIG, METADATA) and each.file_size > MOST_CONFIG_BYTES:
            raise TooLarge.at(
                "file",
                f"a {each.filename} of at most {MOST_CONFIG_BYTES // 2**20} MiB",
                f"{each.file_size // 2**20} MiB",
            )
    for missing in {CONFIG, METADATA, WEIGHTS} - set(names):
        raise InvalidInput.at("file", f"a .keras file, with {missing} in it", "a zip without it")
    for name in names:
        is_asset = name.startswith(ASSETS) and ".." not in name.split("/") and "\\" not in name
        if names.count(name) > 1 or not (is_asset or name in (CONFIG, METADATA, WEIGHTS)):
            raise InvalidInput.at(
                "file", "what Keras writes into a .keras file, each once", f"a member {shown(name)}"
            )


def _copy(archive: zipfile.ZipFile, name: str, to: Any) -> None:
    with archive.open(name) as member:
        while piece := member.read(_PIECE):
            to.write(piece)


def _write_clean(archive: zipfile.ZipFile, to: Path, config: keras_config.Config, weights: Path) -> None:
    with zipfile.ZipFile(to, "w") as clean:
        clean.writestr(METADATA, archive.read(METADATA))
        clean.writestr(CONFIG, json.dumps(config))
        clean.write(weights, WEIGHTS)
        for name in archive.namelist():
            if name.startswith(ASSETS) and not name.endswith("/"):
                with clean.open(name, "w") as member:
                    _copy(archive, name, member)
