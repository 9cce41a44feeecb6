"""Files as Keras 1.2 wrote them, made by hand from its own format, held against what its formulas give."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from production_server.errors import InvalidInput
from production_server.models.importing import keras_hdf5
from production_server.models.importing.opened import Opened
from production_server.models.tensors import Tensors, only

pytestmark = [pytest.mark.training, pytest.mark.filterwarnings("ignore")]

Served = Callable[[Opened, Tensors], Tensors]
Arrays = dict[str, np.ndarray]


def layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    common = {"name": name, "trainable": True}
    return {"class_name": class_name, "config": common | config}


def dense(name: str, units: int, activation: str, **more: Any) -> dict[str, Any]:
    return layer(
        "Dense", name, output_dim=units, init="glorot_uniform", activation=activation, bias=True,
        W_regularizer=None, b_regularizer=None, activity_regularizer=None, W_constraint=None, b_constraint=None,
        input_dim=None, **more,
    )  # fmt: skip


def write(path: Path, layers: Sequence[dict[str, Any]], weights: dict[str, Arrays]) -> Path:
    """`model.save()` of Keras 1.2.2: no backend, a list as a Sequential's configuration, flat names of weights."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": list(layers)}).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [each["config"]["name"].encode() for each in layers]
        group.attrs["keras_version"] = b"1.2.2"
        for each in layers:
            name = each["config"]["name"]
            inner = group.create_group(name)
            arrays = weights.get(name, {})
            inner.attrs["weight_names"] = [weight.encode() for weight in arrays]
            for weight, values in arrays.items():
                inner.create_dataset(weight, data=values)
    return path


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def softmax(numbers: np.ndarray) -> np.ndarray:
    powers = np.exp(numbers - numbers.max(axis=1, keepdims=True))
    quotients: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return quotients


def sigmoid(numbers: np.ndarray) -> np.ndarray:
    """Keras 1's and 2's hard one."""
    clipped: np.ndarray = np.clip(0.2 * numbers + 0.5, 0, 1)
    return clipped


def assert_answers(opened: Opened, served: Served, inputs: np.ndarray, expected: np.ndarray) -> None:
    given = {opened.inputs[0].name: inputs}
    assert opened.producer == "keras 1.2.2"
    assert only(opened.original(given)) == pytest.approx(expected, abs=1e-5)
    assert only(served(opened, given)) == pytest.approx(expected, abs=1e-5)


def test_a_perceptron_of_keras_1_answers_by_its_formulas(into: Path, tmp_path: Path, served: Served) -> None:
    layers = [
        dense("dense_1", 6, "relu", batch_input_shape=[None, 8], input_dtype="float32"),
        layer("BatchNormalization", "batchnormalization_1", epsilon=0.001, mode=0, axis=-1, momentum=0.99,
              gamma_regularizer=None, beta_regularizer=None),
        layer("Dropout", "dropout_1", p=0.5),
        dense("dense_2", 3, "softmax"),
    ]  # fmt: skip
    kernel, bias, gamma, beta, mean = random(8, 6), random(6), random(6) + 1, random(6) - 1, random(6) * 2
    variance, last = np.abs(random(6)) + 0.5, random(6, 3)
    path = write(
        tmp_path / "model.h5",
        layers,
        {
            "dense_1": {"dense_1_W:0": kernel, "dense_1_b:0": bias},
            "batchnormalization_1": {
                "batchnormalization_1_gamma:0": gamma, "batchnormalization_1_beta:0": beta,
                "batchnormalization_1_running_mean:0": mean, "batchnormalization_1_running_std:0": variance,
            },
            "dense_2": {"dense_2_W:0": last, "dense_2_b:0": np.array([1, 0, -1], np.float32)},
        },
    )  # fmt: skip
    rows = random(5, 8)

    opened = keras_hdf5.read(path, into)

    hidden = np.maximum(rows @ kernel + bias, 0)
    normal = (hidden - mean) / np.sqrt(variance + 0.001) * gamma + beta
    assert_answers(opened, served, rows, softmax(normal @ last + [1, 0, -1]))
    assert opened.last_activation == "softmax"


def test_gates_that_keras_1_has_apart_are_put_together(into: Path, tmp_path: Path, served: Served) -> None:
    layers = [
        layer("LSTM", "lstm_1", output_dim=3, init="glorot_uniform", inner_init="orthogonal",
              forget_bias_init="one", activation="tanh", inner_activation="hard_sigmoid", return_sequences=False,
              go_backwards=False, stateful=False, unroll=False, consume_less="cpu", W_regularizer=None,
              U_regularizer=None, b_regularizer=None, dropout_W=0.0, dropout_U=0.0, input_dim=4, input_length=None,
              batch_input_shape=[None, 5, 4], input_dtype="float32"),
        layer("Activation", "activation_1", activation="linear"),
    ]  # fmt: skip
    gates = {
        gate: (random(4, 3) + place, random(3, 3) - place, random(3) * place)
        for place, gate in enumerate("icfo")  # the order in which Keras 1 writes them
    }
    arrays = {
        f"lstm_1_{name}_{gate}:0": values
        for gate, of_gate in gates.items()
        for name, values in zip("WUb", of_gate, strict=True)
    }
    path = write(tmp_path / "model.h5", layers, {"lstm_1": arrays})
    series = random(2, 5, 4)

    opened = keras_hdf5.read(path, into)

    state, memory = np.zeros((2, 3)), np.zeros((2, 3))
    for step in range(5):
        i, c, f, o = (series[:, step] @ w + state @ u + b for w, u, b in (gates[gate] for gate in "icfo"))
        memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(c)
        state = sigmoid(o) * np.tanh(memory)
    assert_answers(opened, served, series, state)


def convolution() -> list[dict[str, Any]]:
    return [
        layer("Convolution2D", "convolution2d_1", nb_filter=2, nb_row=3, nb_col=2, init="glorot_uniform",
              activation="linear", border_mode="valid", subsample=[1, 1], dim_ordering="tf", W_regularizer=None,
              b_regularizer=None, activity_regularizer=None, W_constraint=None, b_constraint=None, bias=True,
              batch_input_shape=[None, 4, 4, 1], input_dtype="float32"),
        layer("Flatten", "flatten_1"),
    ]  # fmt: skip


def test_a_convolution_of_tensorflow_is_not_turned_round(into: Path, tmp_path: Path, served: Served) -> None:
    kernel, bias = random(3, 2, 1, 2), random(2)
    arrays = {"convolution2d_1_W:0": kernel, "convolution2d_1_b:0": bias}
    path = write(tmp_path / "model.h5", convolution(), {"convolution2d_1": arrays})
    images = random(2, 4, 4, 1)

    opened = keras_hdf5.read(path, into)

    windows = np.lib.stride_tricks.sliding_window_view(images[..., 0], (3, 2), axis=(1, 2))
    expected = np.einsum("nxyij,ijf->nxyf", windows, kernel[:, :, 0]) + bias
    assert_answers(opened, served, images, expected.reshape(2, -1))


def test_a_convolution_of_theano_is_refused_though_the_file_does_not_name_it(
    into: Path, tmp_path: Path
) -> None:
    arrays = {"convolution2d_1_W": random(3, 2, 1, 2), "convolution2d_1_b": random(2)}
    path = write(tmp_path / "model.h5", convolution(), {"convolution2d_1": arrays})

    with pytest.raises(InvalidInput, match=r"weights\.backend: .*convolution2d_1_W, .*as Theano has them"):
        keras_hdf5.read(path, into)


def test_a_layer_of_keras_1_that_is_gone_is_named(into: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "model.h5", [layer("Highway", "highway_1", batch_input_shape=[None, 4])], {})

    with pytest.raises(InvalidInput, match=r"layers\.highway_1: .*Highway: Keras 3 has none: export"):
        keras_hdf5.read(path, into)


def test_a_layer_that_is_applied_at_each_step_is_read(into: Path, tmp_path: Path, served: Served) -> None:
    inner = dense("dense_1", 2, "linear")
    layers = [
        layer("TimeDistributed", "timedistributed_1", layer=inner, batch_input_shape=[None, 5, 3]),
        layer("Flatten", "flatten_1"),
    ]
    kernel, bias = random(3, 2), random(2)
    arrays = {"timedistributed_1": {"dense_1_W:0": kernel, "dense_1_b:0": bias}}
    series = random(4, 5, 3)

    opened = keras_hdf5.read(write(tmp_path / "model.h5", layers, arrays), into)

    assert_answers(opened, served, series, (series @ kernel + bias).reshape(4, -1))


def test_a_layer_with_two_others_in_it_is_refused(into: Path, tmp_path: Path) -> None:
    """Keras 1 does not say whose of both the weights are."""
    inner = layer("LSTM", "lstm_1", output_dim=3, activation="tanh", inner_activation="hard_sigmoid")
    both = layer(
        "Bidirectional", "bidirectional_1", layer=inner, merge_mode="concat", batch_input_shape=[None, 5, 4]
    )
    names = [
        f"{side}_lstm_1_{name}_{gate}:0"
        for side in ("forward", "backward")
        for gate in "icfo"
        for name in "WUb"
    ]
    arrays = {name: random(*{"W": (4, 3), "U": (3, 3), "b": (3,)}[name[-5]]) for name in names}
    path = write(tmp_path / "model.h5", [both], {"bidirectional_1": arrays})

    with pytest.raises(InvalidInput, match=r"layers\.bidirectional_1: expected a layer without others in it"):
        keras_hdf5.read(path, into)
