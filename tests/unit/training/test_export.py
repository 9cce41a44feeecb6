from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from production_server.models.importing.keras_export import Signature
from production_server.training.architecture import build_classifier
from production_server.training.errors import ExportError
from production_server.training.export import check_parity, declare, export_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = [
    pytest.mark.training,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # inside Keras, TensorFlow and tf2onnx
]


@pytest.fixture(scope="module")
def inputs() -> NDArray[np.float32]:
    return np.random.default_rng(1).uniform(size=(1000, 12, 12, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, inputs: NDArray[np.float32]) -> Path:
    """A folder with a small classifier as model.keras and model.onnx."""
    folder = tmp_path_factory.mktemp("exported")
    model = build_classifier((12, 12, 1), 3)
    parity = export_model(model, folder, declare(model, "image"), inputs)
    assert parity.inputs == 1000
    assert parity.max_abs_difference <= 1e-5
    return folder


@pytest.fixture
def signature() -> Signature:
    return declare(build_classifier((12, 12, 1), 3), "image")


def copy_of(exported: Path, folder: Path, graph: onnx.ModelProto | None = None) -> Path:
    (folder / "model.keras").write_bytes((exported / "model.keras").read_bytes())
    onnx.save(graph or onnx.load(exported / "model.onnx"), folder / "model.onnx")
    return folder


def test_the_onnx_session_takes_and_gives_exactly_what_is_declared(exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported / "model.onnx", providers=["CPUExecutionProvider"])

    (given,), (taken,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == ("image", ["batch", 12, 12, 1], "tensor(float)")
    assert (taken.name, taken.shape, taken.type) == ("probabilities", ["batch", 3], "tensor(float)")


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_any_batch_size_is_answered(exported: Path, inputs: NDArray[np.float32], batch: int) -> None:
    session = onnxruntime.InferenceSession(exported / "model.onnx", providers=["CPUExecutionProvider"])

    (found,) = session.run(["probabilities"], {"image": inputs[:batch]})

    assert found.shape == (batch, 3)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)


def test_an_export_with_one_changed_weight_is_refused(
    exported: Path, inputs: NDArray[np.float32], signature: Signature, tmp_path: Path
) -> None:
    graph = onnx.load(exported / "model.onnx")
    weights = max(graph.graph.initializer, key=lambda each: np.prod(each.dims))
    weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) * 1.01, weights.name))

    with pytest.raises(ExportError, match="differ from Keras' by up to"):
        check_parity(copy_of(exported, tmp_path, graph), signature, inputs)


def test_a_small_difference_may_be_allowed(
    exported: Path, inputs: NDArray[np.float32], signature: Signature, tmp_path: Path
) -> None:
    graph = onnx.load(exported / "model.onnx")
    weights = max(graph.graph.initializer, key=lambda each: np.prod(each.dims))
    weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) * 1.01, weights.name))
    copy_of(exported, tmp_path, graph)

    assert 1e-5 < check_parity(tmp_path, signature, inputs, allowed=1).max_abs_difference < 1


def test_inputs_may_be_made_part_by_part(
    exported: Path, inputs: NDArray[np.float32], signature: Signature
) -> None:
    made = []

    class OnDemand:
        def __len__(self) -> int:
            return len(inputs)

        def __getitem__(self, part: slice, /) -> NDArray[np.float32]:
            made.append(len(inputs[part]))
            return inputs[part]

    found = check_parity(exported, signature, OnDemand())

    assert found == check_parity(exported, signature, inputs)
    assert (found.inputs, sum(made), max(made)) == (1000, 1000, 256)


def test_an_export_whose_answers_are_no_numbers_is_refused(
    exported: Path, inputs: NDArray[np.float32], signature: Signature, tmp_path: Path
) -> None:
    graph = onnx.load(exported / "model.onnx")
    weights = max(graph.graph.initializer, key=lambda each: np.prod(each.dims))
    weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) * np.nan, weights.name))

    with pytest.raises(ExportError, match="nan"):
        check_parity(copy_of(exported, tmp_path, graph), signature, inputs)


def test_a_graph_that_fails_is_refused_in_a_sentence(
    exported: Path, inputs: NDArray[np.float32], signature: Signature, tmp_path: Path
) -> None:
    graph = onnx.load(exported / "model.onnx")
    given = graph.graph.output[0].name
    maker = next(node for node in graph.graph.node if given in node.output)
    maker.output[0] = "inner"
    places = onnx.numpy_helper.from_array(np.array([0, 1, 9], np.int64), "places")
    graph.graph.initializer.append(places)
    graph.graph.node.append(onnx.helper.make_node("Gather", ["inner", "places"], [given], axis=1))

    with pytest.raises(ExportError, match=r"^the graph failed: "):
        check_parity(copy_of(exported, tmp_path, graph), signature, inputs)


def test_a_graph_with_another_input_name_is_refused(
    exported: Path, inputs: NDArray[np.float32], tmp_path: Path
) -> None:
    other = declare(build_classifier((12, 12, 1), 3), "picture")

    with pytest.raises(ExportError, match="the exported graph's inputs are"):
        check_parity(copy_of(exported, tmp_path), other, inputs)


def test_a_graph_with_another_number_of_classes_is_refused(
    exported: Path, inputs: NDArray[np.float32], tmp_path: Path
) -> None:
    other = declare(build_classifier((12, 12, 1), 4), "image")

    with pytest.raises(ExportError, match="the exported graph's outputs are"):
        check_parity(copy_of(exported, tmp_path), other, inputs)


def test_the_constants_of_a_normalization_layer_stay_inside_the_graph(tmp_path: Path) -> None:
    """Keras 3.15 by itself makes inputs of them, which nobody could fill."""
    layers = [
        keras.Input((4,)),
        keras.layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 1.0, 2.0, 2.0]),
        keras.layers.Dense(2, activation="softmax"),
    ]
    model = keras.Sequential(layers)

    parity = export_model(model, tmp_path, declare(model, "features"), np.ones((1000, 4), np.float32))

    assert parity.max_abs_difference <= 1e-5


def test_parity_needs_enough_real_inputs(signature: Signature, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="parity needs 1000 real inputs; there are 999"):
        export_model(
            build_classifier((12, 12, 1), 3), tmp_path, signature, np.zeros((999, 12, 12, 1), np.float32)
        )
