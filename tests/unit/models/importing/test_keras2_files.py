"""Files that Keras 2 wrote, held against what Keras 2 itself answered."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from production_server.errors import InvalidInput
from production_server.models.importing import keras_file, keras_hdf5, keras_json
from production_server.models.importing.opened import Opened
from production_server.models.tensors import Tensors
from tests.unit.models.importing.conftest import KERAS_2, fixed

pytestmark = [
    pytest.mark.training,
    pytest.mark.filterwarnings("ignore"),
]  # inside Keras, TensorFlow and tf2onnx

NAMES = ["mlp", "cnn", "recurrent", "two_inputs", "nested", "operations", "attention", "normalized"]
Served = Callable[[Opened, Tensors], Tensors]


def assert_as_keras_2(opened: Opened, name: str, served: Served) -> None:
    given, expected = fixed(opened, name)
    original, found = opened.original(given), served(opened, given)
    for output in expected:
        assert original[output] == pytest.approx(expected[output], abs=1e-6), "Keras 3"
        assert found[output] == pytest.approx(expected[output], abs=1e-5), "ONNX Runtime"


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_model_in_hdf5_answers_as_in_keras_2(name: str, into: Path, served: Served) -> None:
    opened = keras_hdf5.read(KERAS_2 / f"{name}.h5", into)

    assert (opened.runner, opened.producer) == ("onnx", "keras 2.21.0")
    assert_as_keras_2(opened, name, served)


@pytest.mark.parametrize("name", NAMES)
def test_a_keras_file_of_keras_2_answers_as_there(name: str, into: Path, served: Served) -> None:
    assert_as_keras_2(keras_file.read(KERAS_2 / f"{name}.keras", into), name, served)


def test_architecture_and_weights_may_be_two_files(into: Path, served: Served) -> None:
    opened = keras_json.read(KERAS_2 / "mlp.json", into, weights=KERAS_2 / "mlp_weights.h5")

    assert opened.last_activation == "softmax"
    assert_as_keras_2(opened, "mlp", served)


def test_weights_of_another_model_are_refused(into: Path) -> None:
    with pytest.raises(InvalidInput, match=r"weights: expected weights of the model's 4 layers"):
        keras_json.read(KERAS_2 / "mlp.json", into, weights=KERAS_2 / "cnn.h5")


def renamed_layers(tmp_path: Path, name: str, **names: str) -> Path:
    """A file of weights whose layers have other names than the architecture's."""
    path = copy(tmp_path, name)
    with h5py.File(path, "a") as file:
        group = file["model_weights"]
        for old, new in names.items():
            group.move(old, new)
        group.attrs["layer_names"] = [names.get(each, each) for each in group.attrs["layer_names"]]
    return path


def test_layers_of_other_names_get_the_weights_that_fit_them_alone_and_it_is_said(
    into: Path, tmp_path: Path, served: Served
) -> None:
    weights = renamed_layers(tmp_path, "mlp", dense="dense_7", dense_1="dense_8", dense_2="dense_9")

    opened = keras_json.read(KERAS_2 / "mlp.json", into, weights=weights)

    assert any("each went where it alone fits" in note for note in opened.notes)
    assert_as_keras_2(opened, "mlp", served)


def test_layers_of_other_names_that_fit_in_two_ways_are_refused(into: Path, tmp_path: Path) -> None:
    layers = [keras_layer("a", 4), keras_layer("b", 4)]
    path = tmp_path / "model.json"
    config = {"name": "s", "layers": layers}
    path.write_text(json.dumps({"class_name": "Sequential", "config": config, "keras_version": "2.8.0"}))
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["layer_names"] = ["c", "d"]
        for name in ("c", "d"):
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0", f"{name}/bias:0"]
            group[f"{name}/kernel:0"], group[f"{name}/bias:0"] = np.ones((4, 4)), np.ones(4)

    with pytest.raises(
        InvalidInput, match=r"layers\.a: expected names as in the architecture.*got 2 that fit: c, d"
    ):
        keras_json.read(path, into, weights=tmp_path / "model.h5")


def keras_layer(name: str, units: int) -> dict[str, Any]:
    config = {"name": name, "units": units, "activation": "relu", "batch_input_shape": [None, 4]}
    return {"class_name": "Dense", "config": config}


def test_arrays_of_a_layer_that_fit_in_two_ways_are_refused(into: Path, tmp_path: Path) -> None:
    path = copy(tmp_path, "attention")
    with h5py.File(path, "a") as file:
        group = file["model_weights/multi_head_attention"]
        names = [str(each) for each in group.attrs["weight_names"]]
        for each in names:
            group.move(each, each.replace("query", "first").replace("key", "second"))
        group.attrs["weight_names"] = [
            each.replace("query", "first").replace("key", "second") for each in names
        ]

    with pytest.raises(InvalidInput, match=r"layers\.multi_head_attention: .*first.*second.* for "):
        keras_hdf5.read(path, into)


def test_hard_sigmoid_is_that_of_keras_2_and_it_is_said(into: Path) -> None:
    opened = keras_hdf5.read(KERAS_2 / "mlp.h5", into)

    assert any("hard_sigmoid" in note for note in opened.notes)


def test_inputs_and_outputs_keep_their_names_and_order(into: Path) -> None:
    opened = keras_hdf5.read(KERAS_2 / "two_inputs.h5", into)

    assert [(each.name, each.shape) for each in opened.inputs] == [
        ("rows", (None, 5)),
        ("image", (None, 8, 8, 1)),
    ]
    assert [(each.name, each.shape) for each in opened.outputs] == [("kind", (None, 3)), ("value", (None, 1))]
    assert opened.last_activation is None


def test_names_of_weights_that_are_split_over_attributes_are_put_together(
    into: Path, tmp_path: Path, served: Served
) -> None:
    path = copy(tmp_path, "mlp")
    with h5py.File(path, "a") as file:
        for attributes, name in (
            (file["model_weights"].attrs, "layer_names"),
            (dense(file).attrs, "weight_names"),
        ):
            names = list(attributes.pop(name))
            attributes[f"{name}0"], attributes[f"{name}1"] = names[:1], names[1:]

    assert_as_keras_2(keras_hdf5.read(path, into), "mlp", served)


def test_arrays_in_another_order_still_get_where_they_belong(
    into: Path, tmp_path: Path, served: Served
) -> None:
    path = copy(tmp_path, "nested")
    with h5py.File(path, "a") as file:
        attributes = file["model_weights/sequential"].attrs
        attributes["weight_names"] = list(attributes["weight_names"])[::-1]

    assert_as_keras_2(keras_hdf5.read(path, into), "nested", served)


def test_an_array_of_another_name_is_refused(into: Path, tmp_path: Path) -> None:
    path = copy(tmp_path, "mlp")
    with h5py.File(path, "a") as file:
        attributes = dense(file).attrs
        attributes["weight_names"] = list(attributes["weight_names"])[::-1][:1] * 2

    with pytest.raises(InvalidInput, match=r"layers\.dense: expected an array .*kernel"):
        keras_hdf5.read(path, into)


def test_weights_that_are_no_numbers_are_refused(into: Path, tmp_path: Path) -> None:
    path = copy(tmp_path, "mlp")
    with h5py.File(path, "a") as file:
        dense(file)["dense/bias:0"][0] = np.nan

    with pytest.raises(InvalidInput, match=r"layers\..*bias: expected finite numbers"):
        keras_hdf5.read(path, into)


def test_weights_alone_need_their_architecture(into: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"file: expected a whole model .*as its weights.*got weights alone"
    ):
        keras_hdf5.read(KERAS_2 / "mlp_weights.h5", into)


def test_weights_of_theano_are_refused(into: Path, tmp_path: Path) -> None:
    path = copy(tmp_path, "cnn")
    with h5py.File(path, "a") as file:
        file["model_weights"].attrs["backend"] = "theano"

    with pytest.raises(InvalidInput, match=r"weights\.backend: expected weights of TensorFlow, got theano"):
        keras_hdf5.read(path, into)


@pytest.mark.parametrize(
    ("layer", "setting", "value", "error"),
    [
        ("mlp", {"stateful": True}, None, r"layers\.dense\.stateful"),
        ("mlp", {"activation": "my_function"}, None, r"layers\.dense\.activation: .*my_function"),
        ("mlp", {"weights": [1]}, None, r"layers\.dense\.weights"),
    ],
)
def test_a_setting_that_is_not_served_is_named(
    layer: str, setting: dict[str, Any], value: None, error: str, into: Path, tmp_path: Path
) -> None:
    path = copy(tmp_path, layer)
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        next(each for each in config["config"]["layers"] if each["class_name"] == "Dense")["config"] |= (
            setting
        )
        file.attrs["model_config"] = json.dumps(config)

    with pytest.raises(InvalidInput, match=error):
        keras_hdf5.read(path, into)


def test_an_operation_that_keras_3_has_not_is_named(into: Path, tmp_path: Path) -> None:
    path = copy(tmp_path, "operations")
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace("math.truediv", "io.read_file")

    with pytest.raises(InvalidInput, match=r"got tf\.io\.read_file"):
        keras_hdf5.read(path, into)


def test_a_published_mobilenet_is_read(into: Path) -> None:
    path = Path(os.environ.get("MODEL_DATA_DIR", ""), "models", "mobilenet_v1_0.25_224.h5")
    if not path.is_file():
        pytest.skip("MODEL_DATA_DIR has no mobilenet_v1_0.25_224.h5")

    opened = keras_hdf5.read(path, into)

    assert (opened.runner, opened.last_activation, opened.outputs[0].shape) == (
        "onnx",
        "softmax",
        (None, 1000),
    )
    assert opened.inputs[0].shape == (None, 224, 224, 3)


def copy(folder: Path, name: str) -> Path:
    path = folder / f"{name}.h5"
    path.write_bytes((KERAS_2 / f"{name}.h5").read_bytes())
    return path


def dense(file: Any) -> Any:
    return file["model_weights/dense"]
