"""Files that would run code, read other files, or fill the memory: each is refused for its cause."""

from __future__ import annotations

import base64
import json
import marshal
import re
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from production_server.errors import InvalidInput, TooLarge
from production_server.models.importing import keras_config, keras_file, keras_hdf5, keras_json
from production_server.models.importing.hdf5 import check_hdf5
from tests.unit.models.importing.conftest import KERAS_2

pytestmark = [pytest.mark.training, pytest.mark.filterwarnings("ignore")]

GET_FILE = {
    "module": "keras.utils",
    "class_name": "function",
    "config": "get_file",
    "registered_name": "get_file",
}


def layer(class_name: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": "mine", **config},
        "registered_name": None,
    }


def sequential(*layers: Any) -> dict[str, Any]:
    start = layer("InputLayer", batch_shape=[None, 4], dtype="float32")
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "s", "layers": [start, *layers]},
    }


def marshalled() -> str:
    return base64.b64encode(marshal.dumps(compile("lambda x: x", "", "eval"))).decode()


LAMBDA = (
    "Lambda: it runs Python code of the file: put a layer such as Rescaling in its place, or export to ONNX"
)
NO_VALUE = "it stands where a value should"
OWN = "it is code of whoever wrote the file: build without it, or export to ONNX where that code is"


@pytest.mark.parametrize("keras", [2, 3])
@pytest.mark.parametrize(
    ("hostile", "told"),
    [
        (layer("Lambda", function=GET_FILE), LAMBDA),
        (layer("Lambda", function=[marshalled(), None, None], function_type="lambda"), LAMBDA),
        (layer("Lambda", function={"class_name": "__lambda__", "config": {"code": marshalled()}}), LAMBDA),
        (sequential(layer("Lambda", function=GET_FILE)), LAMBDA),
        (layer("TimeDistributed", layer=layer("Lambda", function=GET_FILE)), LAMBDA),
        (layer("Bidirectional", layer=layer("LSTM", units=1), backward_layer=layer("Lambda")), LAMBDA),
        (layer("RNN", cell=layer("StackedRNNCells", cells=[layer("Lambda")])), LAMBDA),
        (layer("TorchModuleWrapper") | {"config": {"module": "gASV", "name": "mine"}},
         "it unpickles code of PyTorch: export the model to ONNX from there"),
        (layer("TFSMLayer", filepath="/tmp/other"), "it opens another file: import the SavedModel"),
        (layer("JaxLayer", call_fn=GET_FILE), "it runs code of JAX: export the model to ONNX from there"),
        (layer("Dense", "os", units=1), f"Dense: {OWN}"),
        (layer("Dense", "keras.src.layers", units=1) | {"registered_name": "mine>Dense"}, f"mine>Dense: {OWN}"),
        (layer("Map", "keras.src.ops.core", f=GET_FILE), f"Map: {OWN}"),
        (layer("Mine", "keras.layers"), f"Mine: {OWN}"),
        (layer("load_model", "keras.models"), f"load_model: {OWN}"),
        (layer("Dense", units=1, activation=GET_FILE), "activation: expected a function that Keras itself has"),
        (layer("Dense", units=1, activation={"class_name": "__lambda__", "config": {"value": marshalled()}}),
         "activation: expected a function that Keras itself has (others are code of whoever wrote the file)"),
        (layer("Dense", units=GET_FILE), f"function: {NO_VALUE}, and {OWN}"),
        (layer("Dense", units={"class_name": "__typespec__", "config": []}), f"__typespec__: {NO_VALUE}, and {OWN}"),
        (layer("StringLookup", vocabulary="/etc/passwd"), "vocabulary: expected the words themselves"),
        (layer("TextVectorization", standardize=GET_FILE), f"function: {NO_VALUE}, and {OWN}"),
    ],
)  # fmt: skip
def test_what_runs_code_or_reads_files_is_refused_by_name_before_keras_sees_it(
    hostile: dict[str, Any], told: str, keras: int
) -> None:
    with pytest.raises(InvalidInput, match=rf"^layers\.mine.*{re.escape(told)}"):
        keras_config.read_model(sequential(hostile), keras_config.Reading(keras))


def test_initializers_and_regularizers_of_the_file_never_get_to_keras() -> None:
    config = sequential(layer("Dense", units=1, kernel_initializer=GET_FILE, kernel_regularizer=GET_FILE))

    found = keras_config.read_model(config, keras_config.Reading(3))

    assert "get_file" not in json.dumps(found)


@pytest.mark.parametrize(
    "text", ["[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "{", ""]
)
def test_json_that_is_too_deep_or_none_is_refused(text: str, into: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(text)

    with pytest.raises(InvalidInput, match="file: expected a configuration"):
        keras_json.read(path, into, weights=KERAS_2 / "mlp_weights.h5")


def test_brackets_that_json_takes_and_recursion_does_not_are_refused() -> None:
    with pytest.raises(InvalidInput, match="brackets in each other"):
        keras_config.parse("[" * 900 + "]" * 900)


def external_link(file: h5py.File) -> None:
    file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file: h5py.File) -> None:
    file["elsewhere"] = h5py.SoftLink("/nowhere")


def external_storage(file: h5py.File) -> None:
    file.create_dataset("elsewhere", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual_array(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    file.create_virtual_dataset("elsewhere", layout)


def texts_elsewhere_in_the_file(file: h5py.File) -> None:
    """Each entry of such an array may lead to the same bytes: a few kilobytes become as many gigabytes."""
    file.create_dataset("elsewhere", (4,), h5py.string_dtype())


@pytest.mark.parametrize(
    "make", [external_link, soft_link, external_storage, virtual_array, texts_elsewhere_in_the_file]
)
def test_hdf5_that_refers_to_other_files_is_refused(
    make: Callable[[h5py.File], None], into: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes((KERAS_2 / "mlp.h5").read_bytes())
    with h5py.File(path, "a") as file:
        make(file)

    with pytest.raises(InvalidInput, match=r"file\.elsewhere: expected weights that the file itself holds"):
        keras_hdf5.read(path, into)


def test_an_array_that_is_declared_larger_than_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (2**40,), "f4", chunks=(2**20,), compression="gzip")

    with pytest.raises(TooLarge, match="GiB of numbers"):
        check_hdf5(path)


def test_a_compression_that_needs_a_program_is_refused(tmp_path: Path) -> None:
    """HDF5 would look for it in the folders of plugins."""
    path = tmp_path / "packed.h5"
    with h5py.File(path, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4,))
        plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
        h5py.h5d.create(file.id, b"w", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((4,)), plist)

    with pytest.raises(
        InvalidInput, match=r"file\.w: expected no compression but deflate.*got the filter 32015"
    ):
        check_hdf5(path)


def test_an_attribute_of_megabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.create_group("g").attrs["x"] = np.zeros(2**24 + 1, np.uint8)

    with pytest.raises(TooLarge, match=r"file\.g: expected attributes of at most 16 MiB"):
        check_hdf5(path)


@pytest.mark.parametrize("where", [b"dense_1/kernel:0", b"weight_names"])
def test_names_that_are_no_text_are_damage(where: bytes, into: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes((KERAS_2 / "mlp.h5").read_bytes().replace(where, b"\xf1" + where[1:]))

    with pytest.raises(InvalidInput, match="file: expected a whole HDF5 file"):
        keras_hdf5.read(path, into)


def test_groups_that_hold_each_other_are_looked_at_once(tmp_path: Path) -> None:
    path = tmp_path / "circle.h5"
    with h5py.File(path, "w") as file:
        inner = file.create_group("a").create_group("b")
        inner["a"] = file["a"]
        inner["root"] = file["/"]

    check_hdf5(path)


@pytest.mark.parametrize("share", [0, 0.02, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("name", ["cnn.h5", "cnn.keras"])
def test_files_that_are_cut_off_are_refused(name: str, share: float, into: Path, tmp_path: Path) -> None:
    whole = (KERAS_2 / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(len(whole) * share)])
    read = keras_file.read if name.endswith(".keras") else keras_hdf5.read

    with pytest.raises(InvalidInput, match="file: expected a whole"):
        read(path, into)

    assert list(into.iterdir()) == []


def rewritten(to: Path, **members: bytes) -> Path:
    path = to / "model.keras"
    with (
        zipfile.ZipFile(KERAS_2 / "mlp.keras") as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, members.pop(name, old.read(name)))
        for name, content in members.items():
            new.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["../outside", "/absolute", "assets/../../x", "evil.py", "assets\\..\\x"])
def test_a_member_that_keras_does_not_write_is_refused(name: str, into: Path, tmp_path: Path) -> None:
    path = rewritten(tmp_path, **{name: b"x"})

    with pytest.raises(InvalidInput, match="each once"):
        keras_file.read(path, into)


def test_a_member_that_comes_twice_is_refused(into: Path, tmp_path: Path) -> None:
    """Of two configurations one would be checked, and the other one read."""
    path = rewritten(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", b"{}")

    with pytest.raises(InvalidInput, match=r"each once, got a member config\.json"):
        keras_file.read(path, into)


def test_a_zip_that_unpacks_to_more_than_memory_is_refused(into: Path, tmp_path: Path) -> None:
    path = rewritten(tmp_path)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("assets/x", "w", force_zip64=True) as to,
    ):
        for _ in range(2100):
            to.write(bytes(2**20))
    assert path.stat().st_size < 4_000_000

    with pytest.raises(TooLarge, match="2 GiB"):
        keras_file.read(path, into)


def test_weights_of_a_keras_file_are_looked_at_as_any_hdf5(into: Path, tmp_path: Path) -> None:
    weights = tmp_path / "w.h5"
    with zipfile.ZipFile(KERAS_2 / "mlp.keras") as archive:
        weights.write_bytes(archive.read("model.weights.h5"))
    with h5py.File(weights, "a") as file:
        external_link(file)

    with pytest.raises(InvalidInput, match=r"file\.elsewhere"):
        keras_file.read(rewritten(tmp_path, **{"model.weights.h5": weights.read_bytes()}), into)


def test_a_full_disk_is_no_damage(into: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            keras_file.read(KERAS_2 / "mlp.keras", into)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_configuration_of_gigabytes_is_not_read(into: Path, tmp_path: Path) -> None:
    path = rewritten(tmp_path, **{"config.json": b" " * (65 * 2**20)})
    assert path.stat().st_size < 1_000_000

    with pytest.raises(TooLarge, match=r"file: expected a config\.json of at most 64 MiB, got 65 MiB"):
        keras_file.read(path, into)


def test_weights_that_a_keras_file_lacks_are_missed(into: Path, tmp_path: Path) -> None:
    weights = tmp_path / "w.h5"
    with zipfile.ZipFile(KERAS_2 / "mlp.keras") as archive:
        weights.write_bytes(archive.read("model.weights.h5"))
    with h5py.File(weights, "a") as file:
        del file["layers/dense_1"]

    with pytest.raises(InvalidInput, match="layers: expected a model that Keras"):
        keras_file.read(rewritten(tmp_path, **{"model.weights.h5": weights.read_bytes()}), into)


def test_pickles_in_the_place_of_weights_are_refused_unread(into: Path, tmp_path: Path) -> None:
    class Opens:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "opened",)

    np.savez(tmp_path / "weights.npz", kernel=np.array([Opens()], dtype=object))

    with pytest.raises(InvalidInput, match=r"weights: expected a whole HDF5 file"):
        keras_json.read(KERAS_2 / "mlp.json", into, weights=tmp_path / "weights.npz")

    assert not (tmp_path / "opened").exists()
