"""What a SavedModel may have in it: variables, and operations that export to ONNX, which all only compute.

An operation can read and write files or call Python. Nothing of a graph runs before it was looked at: tables, files of
words and savers of its own, which TensorFlow would run while it loads, are refused by what the file declares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from production_server.errors import InvalidInput
from production_server.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FILE = "saved_model.pb"
_KINDS_THAT_RUN = ("asset", "resource")
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_AROUND = _CALLS | {
    "AssertV2",
    "Assert",
    "DisableCopyOnRead",
    "PreventGradient",
    "Rank",
    "ReadVariableOp",
    "VarHandleOp",
}
"""What tf2onnx takes out, or freezes, before it converts a graph."""
_WAITING = ("FIFOQueue", "QueueDequeue", "Iterator", "Sentencepiece")
"""What it takes away at a graph's beginning, and what needs kernels of another library."""


def check_declared(folder: Path) -> None:
    """Whether TensorFlow may load the SavedModel in `folder`: nothing of it runs then.

    Raises:
        InvalidInput: it is damaged, is TensorFlow 1's, or has what runs while it is loaded.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((folder / FILE).read_bytes())
    # Protobuf's DecodeError has this class, and no stubs.
    except (OSError, ValueError, RuntimeError, _decode_error()) as exc:
        raise InvalidInput.at("file", "a whole SavedModel", "one whose graph is cut off or damaged") from exc
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):
        raise InvalidInput.at(
            "file", "a SavedModel of TensorFlow 2 with one graph (tf2onnx converts older ones)", "another one"
        )
    for node in saved.meta_graphs[0].object_graph_def.nodes:
        _check_object(node)


def _decode_error() -> type[Exception]:
    from importlib import import_module

    error: type[Exception] = import_module("google.protobuf.message").DecodeError
    return error


def _check_object(node: Any) -> None:
    kind = node.WhichOneof("kind")
    if kind in _KINDS_THAT_RUN:
        raise InvalidInput.at("file", "a SavedModel without tables and files of words", f"one with a {kind}")
    if node.saveable_objects or node.registered_saver:
        raise InvalidInput.at("file", "variables that TensorFlow itself saved", "a saver of the file")


def check_operations(graph: Any) -> None:
    """Whether a graph (a `GraphDef`) has only operations that export.

    Raises:
        InvalidInput: it has another one; the field names it.
    """
    allowed = operations()
    for node in _reached(graph):
        if node.op not in allowed:
            raise InvalidInput.at(
                f"operations.{shown(node.name)}",
                "an operation that exports to ONNX (do it before the model is asked)",
                shown(node.op),
            )


def operations() -> frozenset[str]:
    """Operations that may run: those that tf2onnx converts, and what holds and calls them."""
    import tf2onnx.tfonnx  # noqa: F401  # fills the table of what it converts
    from tf2onnx.handler import tf_op

    converted = {name for versions in tf_op.get_opsets().values() for version in versions for name in version}
    return frozenset(name for name in converted if not name.startswith((*_WAITING, "TFL_"))) | _AROUND


def functions_of(graph: Any) -> dict[str, Any]:
    """The functions that a graph brings, by their names."""
    return {each.signature.name: each for each in graph.library.function}


def _reached(graph: Any) -> Iterator[Any]:
    """Nodes of the graph, and of the functions that it calls, at any depth."""
    functions = functions_of(graph)
    waiting, seen = [graph.node], set()
    while waiting:
        for node in waiting.pop():
            # A function is called by an attribute, or by its name in the place of an operation's.
            called = [name for name in (*_called(node), node.op) if name in functions]
            for name in called:
                if name not in seen:
                    seen.add(name)
                    waiting.append(functions[name].node_def)
            if node.op not in functions:
                yield node


def _called(node: Any) -> Iterable[str]:
    for attribute in node.attr.values():
        if attribute.HasField("func"):
            yield attribute.func.name
        for each in attribute.list.func:
            yield each.name
