"""Reads ONNX files of any origin; the original that they are compared with is their plain graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto
from pydantic import ValidationError

from production_server.errors import InferenceFailed, InvalidInput, TooLarge
from production_server.models.importing.drawn import draw
from production_server.models.importing.formats import MOST_BYTES
from production_server.models.importing.onnx_batch import unfix_batch
from production_server.models.importing.onnx_external import load_external_data
from production_server.models.importing.onnx_graph import dtype_of, is_text_whole, nodes_of, prune
from production_server.models.importing.onnx_labels import Kept, keep_probabilities, labels_in_metadata
from production_server.models.importing.onnx_sessions import known_operators, plain_graph
from production_server.models.importing.opened import ONNX_FILE, Compute, Opened
from production_server.models.manifest import TensorSpec
from production_server.shown import shown

OLDEST_OPSET = 7
"""ONNX Runtime promises nothing for older ones, and operators did not broadcast before."""
_CONSTANTS_NEED_NO_INPUT = 4
"""The version of the format from which on they are constants alone."""
_ONNX_DOMAINS = frozenset(("", "ai.onnx"))
_ACTIVATIONS = {
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
    "Normalizer": "softmax",  # scikit-learn's, of probabilities
    "Gemm": "linear",
    "MatMul": "linear",
    "Add": "linear",
    "Conv": "linear",
    "TreeEnsembleRegressor": "linear",
    "LinearRegressor": "linear",
    "SVMRegressor": "linear",
}
_PASSING = frozenset(("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Dropout"))


def read(path: Path, into: Path) -> Opened:
    """Read an ONNX file, and write what is served of it to `into/model.onnx`: one file, of any number of items.

    Raises:
        InvalidInput: it is damaged, needs what ONNX Runtime has not or what lies outside of its folder, takes or gives
            what is no tensor, or cannot answer several items at once; says what to do.
        TooLarge: with what lies beside it, it is larger than one message of protobuf may be.
    """
    model = _load(path)
    _check_operators(model)
    load_external_data(model, path.parent)
    if model.ByteSize() > MOST_BYTES:
        raise TooLarge.at(
            "file", f"at most {MOST_BYTES / 2**30:.0f} GiB with what lies beside it", "more than that"
        )
    notes = [*_drop_constant_inputs(model)]
    kept = keep_probabilities(model)
    notes += kept.notes
    prune(model.graph)
    inputs = tuple(_spec_of(each, "inputs") for each in model.graph.input)
    _check_names(model)
    notes += unfix_batch(model, inputs)
    written = model.SerializeToString()
    outputs = _outputs_of(model, inputs, plain_graph(written, _names(model.graph.output)))
    (into / ONNX_FILE).write_bytes(written)
    return Opened(
        runner="onnx",
        inputs=inputs,
        outputs=outputs,
        original=plain_graph(written, _names(model.graph.output)),
        producer=_producer_of(model),
        notes=tuple(notes),
        last_activation=_activation_of(model, kept) if len(outputs) == 1 else None,
        labels=kept.labels or labels_in_metadata(model),
    )


def _activation_of(model: ModelProto, kept: Kept) -> str | None:
    return "sigmoid" if kept.has_several else _last_activation(model)


def _load(path: Path) -> ModelProto:
    try:
        model = ModelProto()
        model.ParseFromString(path.read_bytes())
    # Protobuf's DecodeError, whose package this one must not import: it is in the namespace of Google's clients.
    except Exception as exc:
        raise _damaged() from exc
    if not is_text_whole(model):
        raise _damaged()
    if not model.graph.output:
        raise InvalidInput.at("file", "an ONNX graph with an output", "one without")
    if not model.graph.node:
        raise InvalidInput.at("file", "an ONNX graph that computes something", "one without operators")
    return model


def _damaged() -> InvalidInput:
    return InvalidInput.at(
        "file", "an ONNX file that is whole", "one that is cut off or damaged: copy or export it again"
    )


def _check_operators(model: ModelProto) -> None:
    for opset in model.opset_import:
        if opset.domain in _ONNX_DOMAINS and opset.version < OLDEST_OPSET:
            raise InvalidInput.at(
                "file",
                f"opset {OLDEST_OPSET} or newer: convert it by onnx.version_converter.convert_version(model, 17)",
                str(opset.version),
            )
    known = known_operators() | {(each.domain, each.name) for each in model.functions}
    used = {(_domain(node.domain), node.op_type) for node in nodes_of(model.graph)}
    used |= {(_domain(node.domain), node.op_type) for each in model.functions for node in each.node}
    unknown = sorted(f"{domain or 'ai.onnx'}.{name}" for domain, name in used - known)
    if unknown:
        raise InvalidInput.at(
            "file",
            "operators of ONNX and of ONNX Runtime alone: export without custom operators",
            shown(", ".join(unknown)),
        )


def _domain(written: str) -> str:
    return "" if written in _ONNX_DOMAINS else written


def _drop_constant_inputs(model: ModelProto) -> list[str]:
    """Old files list their constants among the inputs: whoever asks need not send them."""
    constants = {each.name for each in model.graph.initializer}
    constants |= {each.values.name for each in model.graph.sparse_initializer}
    asked = [each for each in model.graph.input if each.name not in constants]
    dropped = len(model.graph.input) - len(asked)
    if not asked:
        raise InvalidInput.at("file", "an ONNX graph with an input", "one without")
    if not dropped:
        return []
    del model.graph.input[:]
    model.graph.input.extend(asked)
    model.ir_version = max(model.ir_version, _CONSTANTS_NEED_NO_INPUT)
    return [f"{dropped} inputs that have values in the file are constants."]


def _check_names(model: ModelProto) -> None:
    for kind, entries in (("inputs", model.graph.input), ("outputs", model.graph.output)):
        names = _names(entries)
        if len(set(names)) != len(names):
            raise InvalidInput.at(kind, "names that differ", shown(", ".join(names)))
    if twice := set(_names(model.graph.input)) & set(_names(model.graph.output)):
        raise InvalidInput.at("outputs", "other names than the inputs have", shown(", ".join(sorted(twice))))


def _spec_of(entry: ValueInfoProto, kind: str) -> TensorSpec:
    """What a graph declares of an input or output; sizes that are not known are None."""
    field = f"{kind}.{shown(entry.name)}"
    if entry.type.WhichOneof("value") != "tensor_type":
        raise InvalidInput.at(field, "a tensor", f"a {entry.type.WhichOneof('value') or 'value'} of ONNX")
    tensor = entry.type.tensor_type
    dtype = dtype_of(tensor.elem_type)
    if dtype is None:
        raise InvalidInput.at(field, "a type that is served", _type_name(tensor.elem_type))
    if not tensor.HasField("shape") or not tensor.shape.dim:
        raise InvalidInput.at(
            field, "a shape whose first size is that of the batch", "none: export it with one, as [None, 4]"
        )
    sizes = [dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim[1:]]
    return make_spec(field, entry.name, sizes, dtype)


def make_spec(field: str, name: str, item_shape: Sequence[int | None], dtype: str) -> TensorSpec:
    """A spec of what came from a file.

    Raises:
        InvalidInput: its name is empty or too long, or it has more than 32 dimensions.
    """
    try:
        return TensorSpec.model_validate({"name": name, "shape": [None, *item_shape], "dtype": dtype})
    except ValidationError as exc:
        expected = "a name of 1 to 200 characters, and at most 32 dimensions"
        raise InvalidInput.at(field, expected, "something else") from exc


def _outputs_of(model: ModelProto, inputs: Sequence[TensorSpec], compute: Compute) -> tuple[TensorSpec, ...]:
    """What the graph gives, as it is found by running it: files declare too little, or something else."""
    generator = np.random.default_rng(1)
    try:
        found = compute(draw(inputs, 2, generator))
    except InferenceFailed:
        # Of sizes that may differ it may not take any; then what is declared has to do.
        return tuple(_spec_of(each, "outputs") for each in model.graph.output)
    specs = []
    for entry in model.graph.output:
        array = found[entry.name]
        field = f"outputs.{shown(entry.name)}"
        dtype = "string" if array.dtype.kind in "OUS" else array.dtype.name
        declared = entry.type.tensor_type.shape.dim if entry.type.tensor_type.HasField("shape") else ()
        is_free = any(size is None for spec in inputs for size in spec.item_shape)
        if array.ndim == 0 or len(array) != 2:
            raise InvalidInput.at(
                field,
                "one answer for each item: the first size is that of the batch",
                f"shape {list(array.shape)} for 2 items",
            )
        sizes = [
            None if is_free and not (len(declared) == array.ndim and declared[axis].dim_value > 0) else size
            for axis, size in enumerate(array.shape[1:], 1)
        ]
        specs.append(make_spec(field, entry.name, sizes, dtype))
    return tuple(specs)


def _type_name(elem_type: int) -> str:
    is_known = elem_type in TensorProto.DataType.values()
    return TensorProto.DataType.Name(elem_type).lower() if is_known else f"the type {elem_type}"


def _last_activation(model: ModelProto) -> str | None:
    """What makes the only output, as far as its operator tells."""
    makers = {name: node for node in model.graph.node for name in node.output}
    name = model.graph.output[0].name
    while name in makers:
        node = makers[name]
        if node.op_type in _PASSING and node.input:
            name = node.input[0]
            continue
        if node.op_type.endswith("Classifier"):
            return "softmax" if name != node.output[0] else None
        return _ACTIVATIONS.get(node.op_type)
    return None


def _producer_of(model: ModelProto) -> str:
    opset = next((each.version for each in model.opset_import if each.domain in _ONNX_DOMAINS), None)
    made_by = f"{model.producer_name} {model.producer_version}".strip() or "unknown"
    return shown(f"{made_by}, opset {opset}" if opset else made_by)


def _names(entries: Sequence[ValueInfoProto]) -> list[str]:
    return [each.name for each in entries]
