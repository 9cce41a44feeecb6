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
from production_server.models.importing.hdf5 import MOST_BYTES, check_hdf5
from production_server.models.importing.keras_hdf5 import major
from production_server.shown import shown

if TYPE_CHECKING:
    import keras

    from production_server.models.importing.opened import Opened

CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets/"
MOST_MEMBERS = 1000
_PIECE = 2**20


def read(path: Path, into: Path) -> Opened:
    """Read a model and write what is served of it into `into`.

    Raises:
        InvalidInput: it is damaged, or has what is not served; the field names it.
        TooLarge: it unpacks to more than may be read.
    """
    with tempfile.TemporaryDirectory(dir=into, prefix=".") as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                return _read(archive, Path(folder), into)
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
            raise InvalidInput.at(
                "file", "a whole .keras file", f"one that is cut off or damaged ({exc})"
            ) from exc


def _read(archive: zipfile.ZipFile, folder: Path, into: Path) -> Opened:
    _check_members(archive)
    metadata = keras_config.parse(archive.read(METADATA))
    version = str(metadata.get("keras_version", "3")) if isinstance(metadata, dict) else "3"
    reading = keras_config.Reading(major(version))
    config = keras_config.read_model(keras_config.parse(archive.read(CONFIG)), reading)
    with (folder / WEIGHTS).open("wb") as file:
        _copy(archive, WEIGHTS, file)
    check_hdf5(folder / WEIGHTS)
    clean = folder / keras_model.KERAS_FILE
    _write_clean(archive, clean, config, folder / WEIGHTS)
    model = _load(clean)
    keras_model.check_weights(model)
    return keras_model.open_model(model, into, producer=f"keras {version}", reading=reading)


def _check_members(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    names = [each.filename for each in members]
    if len(names) > MOST_MEMBERS or sum(each.file_size for each in members) > MOST_BYTES + _PIECE:
        raise TooLarge.at("file", f"at most {MOST_BYTES // 2**30} GiB in {MOST_MEMBERS} members", "more")
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


def _load(path: Path) -> keras.Model:
    import keras

    try:
        with keras_model.quiet():
            return keras.saving.load_model(
                path, custom_objects=keras_model.functions(), compile=False, safe_mode=True
            )
    # Keras' and TensorFlow's errors share no base class below Exception.
    except Exception as exc:
        raise keras_model.not_taken(exc) from exc
