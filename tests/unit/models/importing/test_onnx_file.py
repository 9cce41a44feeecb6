from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from production_server.errors import InvalidInput
from production_server.models.importing.batches import check_batches
from production_server.models.importing.onnx_file import read
from testing.foreign_graphs import FOREIGN_MODELS, dense, model_of, write

LESS_THE_MEAN = [
    helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
    helper.make_node("Sub", ["x", "mean"], ["y"]),
]


def served(folder: Path, **inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return list(session.run(None, inputs))


def test_a_scikit_learn_pipeline_gives_its_probabilities_and_labels(tmp_path: Path) -> None:
    opened = read(FOREIGN_MODELS / "iris_pipeline.onnx", tmp_path)

    rows = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], np.float32)
    session = onnxruntime.InferenceSession(FOREIGN_MODELS / "iris_pipeline.onnx")
    labels, maps = session.run(None, {"X": rows})
    (probabilities,) = served(tmp_path, X=rows)
    assert opened.labels == ("setosa", "versicolor", "virginica")
    assert [spec.shape for spec in opened.outputs] == [(None, 3)]
    assert [opened.labels[place] for place in probabilities.argmax(axis=1)] == list(labels)
    assert np.allclose(probabilities, [[row[label] for label in opened.labels] for row in maps])
    assert opened.producer == "skl2onnx 1.20.0, opset 21"


def test_a_network_for_a_batch_of_one_is_made_to_take_any(tmp_path: Path) -> None:
    opened = read(FOREIGN_MODELS / "fashion_cnn_batch_of_1.onnx", tmp_path)

    images = np.random.default_rng(1).random((5, 1, 28, 28), np.float32)
    session = onnxruntime.InferenceSession(FOREIGN_MODELS / "fashion_cnn_batch_of_1.onnx")
    alone = [session.run(None, {"input": image[None]})[0][0] for image in images]
    assert opened.inputs[0].shape == (None, 1, 28, 28)
    assert "batches of one item" in opened.notes[0]
    assert np.allclose(served(tmp_path, input=images)[0], alone, atol=1e-5)


def test_a_network_that_answers_otherwise_in_a_larger_batch_is_refused(tmp_path: Path) -> None:
    mean_of_batch = model_of(LESS_THE_MEAN, [("x", [1, 3])], [("y", [1, 3])])

    with pytest.raises(InvalidInput, match=r"dynamic_axes.*answers otherwise in larger batches"):
        read(write(mean_of_batch, tmp_path / "a.onnx"), tmp_path)


def test_answers_that_depend_on_their_neighbours_are_refused(tmp_path: Path) -> None:
    mean_of_batch = model_of(LESS_THE_MEAN, [("x", [None, 3])], [("y", [None, 3])])
    opened = read(write(mean_of_batch, tmp_path / "a.onnx"), tmp_path)

    with pytest.raises(
        InvalidInput, match=r"outputs\.y: expected an answer that depends on its own item alone"
    ):
        check_batches(opened.original, opened.inputs)


@pytest.mark.parametrize("shape", [[1, -1], [1, 12]])
def test_a_flattening_for_one_item_is_freed(tmp_path: Path, shape: list[int]) -> None:
    flat = model_of(
        [helper.make_node("Reshape", ["x", "shape"], ["y"], allowzero=1)],
        [("x", [1, 3, 4])], [("y", [1, 12])], {"shape": np.array(shape)}, opset=14,
    )  # fmt: skip

    read(write(flat, tmp_path / "a.onnx"), tmp_path)

    rows = np.arange(36, dtype=np.float32).reshape(3, 3, 4)
    assert np.array_equal(served(tmp_path, x=rows)[0], rows.reshape(3, 12))


def test_an_operator_that_nobody_has_is_named(tmp_path: Path) -> None:
    custom = model_of(
        [helper.make_node("Magic", ["x"], ["y"], domain="my.company")],
        [("x", [None, 3])], [("y", [None, 3])], domains=["my.company"],
    )  # fmt: skip

    with pytest.raises(InvalidInput, match=r"without custom operators, got my\.company\.Magic"):
        read(write(custom, tmp_path / "a.onnx"), tmp_path)


@pytest.mark.parametrize(
    ("opset", "told"), [(6, "opset 7 or newer.*got 6"), (99, "an opset up to [0-9]+: export")]
)
def test_an_opset_that_is_too_old_or_too_new_is_named(tmp_path: Path, opset: int, told: str) -> None:
    model = model_of(
        [helper.make_node("Relu", ["x"], ["y"])], [("x", [None, 3])], [("y", [None, 3])], opset=opset
    )

    with pytest.raises(InvalidInput, match=told):
        read(write(model, tmp_path / "a.onnx"), tmp_path)


def external(path: Path, location: str, **more: str) -> Path:
    """A layer whose kernel lies in another file."""
    model = dense("Softmax")
    kernel = model.graph.initializer[0]
    kernel.ClearField("raw_data")
    kernel.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": location} | more).items():
        entry = kernel.external_data.add()
        entry.key, entry.value = key, value
    return write(model, path)


def test_weights_in_a_file_beside_it_are_taken_in(tmp_path: Path) -> None:
    kernel = numpy_helper.to_array(dense("Softmax").graph.initializer[0])
    (tmp_path / "a.onnx.data").write_bytes(b"\0" * 16 + kernel.tobytes())
    (tmp_path / "served").mkdir()

    read(
        external(tmp_path / "a.onnx", "a.onnx.data", offset="16", length=str(kernel.nbytes)),
        tmp_path / "served",
    )

    found = onnx.load(tmp_path / "served" / "model.onnx", load_external_data=False)
    assert np.array_equal(numpy_helper.to_array(found.graph.initializer[0]), kernel)


@pytest.mark.parametrize(
    "location",
    [
        "../secret",
        "/etc/hostname",
        "",
        "sub/../../secret",
        "link",
        "\0",
        "a\0b",
        "x" * 300,
        "x/" * 3000,
        "loop",
    ],
)
def test_weights_outside_of_its_folder_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(b"\0" * 1000)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to("loop")

    with pytest.raises(InvalidInput, match="weights of kernel: expected a file in the model's own folder"):
        read(external(folder / "a.onnx", location), folder)


def test_weights_outside_of_its_folder_are_found_wherever_the_file_names_them(tmp_path: Path) -> None:
    """Within a branch of a function, where no list of constants has them."""
    secret = numpy_helper.from_array(np.zeros(4, np.float32), "secret")
    secret.ClearField("raw_data")
    secret.data_location = TensorProto.EXTERNAL
    entry = secret.external_data.add()
    entry.key, entry.value = "location", "../secret"
    branch = helper.make_graph(
        [helper.make_node("Identity", ["secret"], ["found"])],
        "branch",
        [],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, [4])],
        [secret],
    )
    choose = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    model = dense("Softmax")
    model.functions.append(helper.make_function("mine", "Choose", ["x"], ["y"], [choose], model.opset_import))

    with pytest.raises(InvalidInput, match="weights of secret: expected a file in the model's own folder"):
        read(write(model, tmp_path / "a.onnx"), tmp_path)


def test_a_pipe_in_the_place_of_weights_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(InvalidInput, match="weights of kernel: expected a file in the model's own folder"):
        read(external(tmp_path / "a.onnx", "pipe", length="0"), tmp_path)


@pytest.mark.parametrize(
    ("more", "told"),
    [({}, "the file data beside the model"), ({"length": "4800"}, "4,800 bytes in data, got 48")],
)
def test_weights_that_are_missing_or_too_short_are_named(
    tmp_path: Path, more: dict[str, str], told: str
) -> None:
    if more:
        (tmp_path / "data").write_bytes(b"\0" * 48)

    with pytest.raises(InvalidInput, match=told):
        read(external(tmp_path / "a.onnx", "data", **more), tmp_path)


def test_constants_among_the_inputs_are_none(tmp_path: Path) -> None:
    old = dense("Softmax")
    old.ir_version = 3
    for name, shape in (("kernel", [4, 3]), ("bias", [3])):
        old.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    opened = read(write(old, tmp_path / "a.onnx"), tmp_path)

    assert [spec.name for spec in opened.inputs] == ["x"]
    assert opened.notes == ("2 inputs that have values in the file are constants.",)


def test_the_shape_of_an_output_that_declares_none_is_found_by_running_it(tmp_path: Path) -> None:
    model = dense("Softmax")
    model.graph.output[0].type.tensor_type.ClearField("shape")

    opened = read(write(model, tmp_path / "a.onnx"), tmp_path)

    assert opened.outputs[0].shape == (None, 3)
    assert opened.last_activation == "softmax"


def test_labels_in_the_metadata_are_read(tmp_path: Path) -> None:
    model = dense("Softmax")
    entry = model.metadata_props.add()
    entry.key, entry.value = "names", "{0: 'cat', 10: 'cow', 2: 'dog'}"

    assert read(write(model, tmp_path / "a.onnx"), tmp_path).labels == ("cat", "dog", "cow")


@pytest.mark.parametrize("content", [b"\x08\x08\x3a\x03abc", dense("Softmax").SerializeToString()[:-9]])
def test_a_damaged_graph_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.onnx").write_bytes(content)

    with pytest.raises(InvalidInput, match=r"^file: expected an ONNX"):
        read(tmp_path / "a.onnx", tmp_path)


def test_a_name_that_is_no_text_is_damage(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(
        dense("Softmax").SerializeToString().replace(b"kernel", b"ker\xff\xfel")
    )

    with pytest.raises(InvalidInput, match="an ONNX file that is whole"):
        read(tmp_path / "a.onnx", tmp_path)


def test_a_type_that_is_not_served_is_named(tmp_path: Path) -> None:
    model = dense("Softmax")
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.BFLOAT16

    with pytest.raises(InvalidInput, match=r"inputs\.x: expected a type that is served, got bfloat16"):
        read(write(model, tmp_path / "a.onnx"), tmp_path)
