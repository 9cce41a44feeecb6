"""Classifiers as scikit-learn's converters write them, with a label beside probabilities; labels that files have."""

from __future__ import annotations

import ast
import json
from typing import NamedTuple

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

from production_server.errors import InvalidInput
from production_server.models.importing.onnx_graph import tensor_info

_MOST_CHARACTERS = 2**20
_MOST_LABELS = 100_000
_METADATA = ("labels", "names", "classes", "class_names")


class Kept(NamedTuple):
    """What was done to a classifier's outputs, one sentence each, and what that tells of the model."""

    notes: list[str]
    labels: tuple[str, ...]
    has_several: bool
    """Whether a matrix beside the probabilities says of each label whether it fits."""


def keep_probabilities(model: ModelProto) -> Kept:
    """Cut the maps off behind the probabilities, drop the label, or the labels, beside them.

    Raises:
        InvalidInput: the maps are of something that is no probability of labels.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {each.name: each for each in model.graph.initializer}
    notes = []
    labels: tuple[str, ...] = ()
    has_several = False
    for output in list(model.graph.output):
        maker = makers.get(output.name)
        if maker is not None and maker.op_type == "ZipMap" and maker.input:
            labels = _class_labels(maker)
            if not labels:
                raise InvalidInput.at(f"outputs.{output.name}", "maps from labels", "maps from nothing")
            output.CopyFrom(tensor_info(maker.input[0], "float32", [len(labels)]))
            notes.append("Probabilities come as numbers, in the order of the labels, and not as maps.")
    if len(model.graph.output) == 2:
        label, scores = model.graph.output
        found = _labels_behind(label.name, makers, constants)
        has_several = not found and _is_of_several(label, scores, makers)
        if found and _is_of_labels(label.type.tensor_type.elem_type):
            labels = labels or found
            del model.graph.output[0]
            notes.append(
                f"The output {label.name} is left out: it names the label of the largest of {scores.name}."
            )
        if has_several:
            del model.graph.output[0]
            notes.append(
                f"The output {label.name} is left out: it says which labels of {scores.name} reach 0.5."
            )
    return Kept(notes, labels, has_several)


def labels_in_metadata(model: ModelProto) -> tuple[str, ...]:
    """The labels that whoever wrote the file put into its metadata: as JSON, as Python's literals, or with commas."""
    written = {each.key.lower(): each.value for each in model.metadata_props}
    for key in _METADATA:
        text = written.get(key, "")
        if text and len(text) <= _MOST_CHARACTERS:
            return _read_labels(text)
    return ()


def _read_labels(text: str) -> tuple[str, ...]:
    found: object = None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
            break
        # What does not read as either is a list of words.
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    if isinstance(found, dict):
        keys = list(found)
        in_order = sorted(keys, key=int) if all(str(key).isdecimal() for key in keys) else keys
        found = [found[key] for key in in_order]
    if isinstance(found, list | tuple) and len(found) <= _MOST_LABELS:
        return tuple(map(str, found))
    return tuple(word.strip() for word in text.split(",")) if "," in text and found is None else ()


def _is_of_labels(elem_type: int) -> bool:
    return elem_type in {TensorProto.INT64, TensorProto.INT32, TensorProto.STRING}


def _is_of_several(label: ValueInfoProto, scores: ValueInfoProto, makers: dict[str, NodeProto]) -> bool:
    """Whether an output is a matrix of zeros and ones, as scikit-learn's converters write several labels at once."""
    if label.type.tensor_type.elem_type not in {TensorProto.INT64, TensorProto.INT32}:
        return False
    maker = makers.get(label.name)
    while maker is not None and maker.op_type in {"Cast", "Identity", "Reshape"}:
        maker = makers.get(maker.input[0])
    if maker is not None and maker.op_type == "Binarizer":
        return True
    sizes = [[each.dim_value for each in value.type.tensor_type.shape.dim] for value in (label, scores)]
    return label.name.endswith("label") and len(sizes[0]) == 2 and sizes[0] == sizes[1] and sizes[0][1] > 1


def _labels_behind(
    name: str, makers: dict[str, NodeProto], constants: dict[str, TensorProto]
) -> tuple[str, ...]:
    """The labels that an output chooses from, if a classifier makes it."""
    for _ in range(8):
        node = makers.get(name)
        if node is None or not node.input:
            return ()
        if found := _class_labels(node):
            return found
        if node.op_type not in {"Identity", "Cast", "Reshape", "Squeeze", "Flatten", "ArrayFeatureExtractor"}:
            return ()
        if node.op_type == "ArrayFeatureExtractor":
            return _constant(node.input[0], makers, constants)
        name = node.input[0]
    return ()


def _class_labels(node: NodeProto) -> tuple[str, ...]:
    for attribute in node.attribute:
        if attribute.name.startswith("classlabels_"):
            return tuple(str(each) for each in attribute.ints) or tuple(
                each.decode("utf-8", errors="replace") for each in attribute.strings
            )
    return ()


def _constant(name: str, makers: dict[str, NodeProto], constants: dict[str, TensorProto]) -> tuple[str, ...]:
    tensor = constants.get(name)
    if tensor is None and name in makers and makers[name].op_type == "Constant":
        tensor = next((each.t for each in makers[name].attribute if each.name == "value"), None)
    if tensor is None:
        return ()
    values = numpy_helper.to_array(tensor).ravel()
    return tuple(each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in values)
