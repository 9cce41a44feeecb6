"""Writes a graph in whole numbers of 8 bits: its weights, and what lies between operators, by the ranges seen there.

The format is QDQ: pairs of QuantizeLinear and DequantizeLinear, which ONNX Runtime makes operators of whole numbers of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from onnx import ModelProto, NodeProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from production_server.errors import InvalidInput
from production_server.models.importing.onnx_graph import nodes_of, prune
from production_server.models.importing.onnx_sessions import plain_words
from production_server.models.tensors import Tensors

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""What takes the time: products with weights."""
_SUMS = ("Gemm", "MatMul")
"""Products of whole numbers whose sums ONNX Runtime gives in 32 bits; those of a convolution it does not."""
_BETWEEN = (
    "Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "LeakyRelu", "MaxPool", "Pad", "Relu",
    "Reshape", "Resize", "Squeeze", "Transpose", "Unsqueeze",
)  # fmt: skip
"""What may stand between them, and takes whole numbers as well."""
_WHOLE = frozenset(
    ("ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QuantizeLinear")
)


def write_int8(
    file: Path, into: Path, batches: Iterable[Tensors], scratch: Path, *, weight_bits: int
) -> None:
    """Write what an ONNX file is in whole numbers; `batches` are inputs that it is for.

    Weights have 7 or 8 bits: of 8 there are sums of products that overflow where a processor has no VNNI.

    Raises:
        InvalidInput: it has no products with weights, or whole numbers already, or ONNX Runtime makes none of it.
    """
    _check(ModelProto.FromString(file.read_bytes()))
    try:
        model = _quantized(file, batches, scratch, is_reduced=weight_bits < 8)
    except MemoryError:
        raise
    # The library raises whatever comes, also of an assertion.
    except Exception as exc:
        raise unfit(f"one that it fails on: {plain_words(str(exc) or type(exc).__name__)}") from exc
    if not _WHOLE.intersection(node.op_type for node in model.graph.node):
        raise unfit("one that it leaves as it is: its weights are no constants, or no numbers of 32 bits")
    into.write_bytes(model.SerializeToString())


def unfit(got: str) -> InvalidInput:
    """The error for a graph that does not do in whole numbers."""
    return InvalidInput.at("model", "a graph that ONNX Runtime makes whole numbers of", got)


def _check(model: ModelProto) -> None:
    used = {node.op_type for node in nodes_of(model.graph)}
    if used & _WHOLE or any(name.startswith("QLinear") for name in used):
        raise InvalidInput.at("model", "a version in floating-point numbers", "one in whole numbers already")
    if not used.intersection(PRODUCTS):
        names = ", ".join(PRODUCTS)
        raise InvalidInput.at(
            "model", f"a graph with products ({names})", "one without: there is nothing to gain"
        )


def _quantized(file: Path, batches: Iterable[Tensors], scratch: Path, *, is_reduced: bool) -> ModelProto:
    prepared, written = scratch / "prepared.onnx", scratch / "written.onnx"
    # Without the symbolic inference of shapes, which needs sympy: what serves has none.
    quant_pre_process(str(file), str(prepared), skip_symbolic_shape=True)
    model = ModelProto.FromString(prepared.read_bytes())
    for place, node in enumerate(model.graph.node):
        node.name = f"node_{place}"
    prepared.write_bytes(model.SerializeToString())
    of_all_columns = {"quant_type": QuantType.QInt8, "symmetric": True, "reduce_range": is_reduced}
    around, last = _ends(model)
    quantize_static(
        str(prepared),
        str(written),
        _Reader(iter(batches)),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=[*PRODUCTS, *_BETWEEN],
        nodes_to_exclude=around,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        reduce_range=is_reduced,
        per_channel=True,
        extra_options={"TensorQuantOverrides": {name: [of_all_columns] for name in _stacks(model)}},
    )
    found: ModelProto = ModelProto.FromString(written.read_bytes())
    _keep_sums(found, last)
    prune(found.graph)
    _drop_unused_domains(found)
    return found


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
    """Batches as ONNX Runtime asks for them."""

    def __init__(self, batches: Iterator[Tensors]) -> None:
        self._batches = batches

    def get_next(self) -> Tensors | None:
        return next(self._batches, None)


def _stacks(model: ModelProto) -> set[str]:
    """Weights that are stacks of matrices: ONNX Runtime takes no scale for each of their columns."""
    stacks = {each.name for each in model.graph.initializer if len(each.dims) > 2}
    return {
        name for node in model.graph.node if node.op_type == "MatMul" for name in node.input if name in stacks
    }


def _ends(model: ModelProto) -> tuple[list[str], set[str]]:
    """The nodes before the first product or behind the last one, which stay as they are, and the last products.

    Before the first one are normalizations of columns, whose ranges have nothing in common; behind the last one is what
    makes probabilities.
    """
    behind, before = _Reached(), _Reached()
    nodes = list(model.graph.node)
    follow = {node.name for node in nodes if behind.pass_on(node.op_type, node.input, node.output)}
    lead = {node.name for node in reversed(nodes) if before.pass_on(node.op_type, node.output, node.input)}
    around = [node.name for node in nodes if node.op_type not in PRODUCTS and node.name not in follow & lead]
    return around, {node.name for node in nodes if node.op_type in _SUMS and node.name not in lead}


def _keep_sums(model: ModelProto, names: Collection[str]) -> None:
    """Have products give their sums as they are, and not one of 256 numbers: probabilities are made of them."""
    takers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            takers.setdefault(name, []).append(node)
    for node in [each for each in model.graph.node if each.name in names]:
        rounds = takers.get(node.output[0], [])
        gives = takers.get(rounds[0].output[0], []) if rounds else []
        if [each.op_type for each in (*rounds, *gives)] == ["QuantizeLinear", "DequantizeLinear"]:
            node.output[0] = gives[0].output[0]
            model.graph.node.remove(rounds[0])
            model.graph.node.remove(gives[0])


class _Reached:
    """The tensors that are reached from products, in one direction."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def pass_on(self, op_type: str, near: Iterable[str], far: Iterable[str]) -> bool:
        """Whether a node is reached, on its near side; what it has on the far one is reached then, or of a product."""
        is_reached = not self._names.isdisjoint(near)
        if is_reached or op_type in PRODUCTS:
            self._names.update(far)
        return is_reached


def _drop_unused_domains(model: ModelProto) -> None:
    """ONNX Runtime names all that it knows."""
    used = {node.domain for node in nodes_of(model.graph)} | {""}
    kept = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
