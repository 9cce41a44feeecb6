"""How layers of a functional model are connected, as Keras 3 writes it, made of what Keras 1 and 2 wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from production_server.errors import InvalidInput
from production_server.models.importing import keras2
from production_server.shown import describe, shown

Config = dict[str, Any]
Rename = Callable[[str], str]


def safe_name(name: object) -> str:
    """A layer's name without the slashes that Keras 3 does not take."""
    return str(name).replace("/", "_")


def unique_names(names: list[Any]) -> list[str]:
    """Names that Keras 3 takes, and each only once."""
    found: list[str] = []
    for name in names:
        wanted = safe_name(name)
        while wanted in found:
            wanted += "_"
        found.append(wanted)
    return found


def convert(graph: Config, *, old: bool) -> Config:
    """A graph `{layers, input_layers, output_layers}` for Keras 3.

    Raises:
        InvalidInput: nodes are not written as Keras writes them.
    """
    if not old:
        return graph
    names = [layer["name"] for layer in graph["layers"]]
    renamed = dict(zip(names, unique_names(names), strict=True))
    first_nodes = _first_nodes(graph)
    tensors = _Tensors(renamed, first_nodes)
    layers = []
    for layer in graph["layers"]:
        name = renamed[layer["name"]]
        nodes = [_node(node, layer, tensors) for node in layer["inbound_nodes"]]
        config = layer["config"] | {"name": name}
        layers.append(layer | {"name": name, "config": config, "inbound_nodes": nodes})
    models = {layer["name"] for layer in layers if layer["class_name"] == "Functional"}
    return {
        "layers": layers,
        "input_layers": [tensors.end(each, models) for each in _ends(graph["input_layers"])],
        "output_layers": [tensors.end(each, models) for each in _ends(graph["output_layers"])],
    }


def _ends(written: Any) -> list[Any]:
    """Inputs or outputs as a list: Keras 2 writes a single one without it, and a dictionary where there is one."""
    if _is_reference(written):
        return [written]
    if isinstance(written, dict):
        # Keras 2 and 3 both take dictionaries by their sorted keys.
        return [written[key] for key in sorted(written)]
    if not isinstance(written, list):
        raise InvalidInput.at("layers", "lists of inputs and outputs", describe(written))
    return written


def _is_reference(value: Any) -> bool:
    """Whether it is `[layer, node, tensor]`, with or without keyword arguments."""
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(isinstance(each, int) for each in value[1:3])
    )


def _is_constant(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 3 and value[0] == "_CONSTANT_VALUE"


def _first_nodes(graph: Config) -> dict[str, int]:
    """The number of the first call of each model within the graph: Keras 2 counts its making as number 0."""
    asked: dict[str, set[int]] = {}
    _collect([layer["inbound_nodes"] for layer in graph["layers"]], asked)
    _collect(graph["output_layers"], asked)
    first = {}
    for layer in graph["layers"]:
        numbers = asked.get(layer["name"], set())
        if layer["class_name"] in ("Functional", "Sequential") and numbers and 0 not in numbers:
            first[layer["name"]] = 1
    return first


def _collect(value: Any, asked: dict[str, set[int]]) -> None:
    if _is_reference(value):
        asked.setdefault(value[0], set()).add(value[1])
    if isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            _collect(each, asked)


class _Tensors:
    """What stands for a tensor in Keras 3's graphs, by what stood for it in an older one's."""

    def __init__(self, renamed: dict[str, str], first_nodes: dict[str, int]) -> None:
        self._renamed = renamed
        self._first_nodes = first_nodes

    def place(self, reference: list[Any]) -> list[Any]:
        name, node, tensor = reference[:3]
        if name not in self._renamed:
            raise InvalidInput.at(
                "layers", "connections between layers of the model", f"one from {shown(str(name))}"
            )
        return [self._renamed[name], node - self._first_nodes.get(name, 0), tensor]

    def end(self, reference: Any, models: set[str]) -> list[Any]:
        if not _is_reference(reference):
            raise InvalidInput.at(
                "layers", "inputs and outputs as [layer, node, tensor]", describe(reference)
            )
        name, node, tensor = self.place(reference)
        # Keras 3 itself subtracts 1 for models here, and only here.
        return [name, node + (name in models), tensor]

    def of(self, value: Any) -> Any:
        """A value in which references are replaced."""
        if _is_constant(value):
            return value[2]
        if _is_reference(value):
            config = {"shape": [], "dtype": "float32", "keras_history": self.place(value)}
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(value, list):
            return [self.of(each) for each in value]
        if isinstance(value, dict):
            return {key: self.of(each) for key, each in value.items()}
        return value


def _node(node: Any, layer: Config, tensors: _Tensors) -> Config:
    """One call of a layer: `[[layer, node, tensor, keywords], …]`, or the structure that is given to it."""
    single = _is_reference(node) or _is_constant(node)
    if single:
        node = [node]
    if isinstance(node, dict):
        return {"args": [tensors.of(_without_keywords(node))], "kwargs": {}}
    if not isinstance(node, list) or not node or not all(isinstance(each, list) for each in node):
        raise InvalidInput.at(
            f"layers.{shown(layer['name'])}.inbound_nodes", "connections to layers", describe(node)
        )
    keywords = node[0][3] if len(node[0]) > 3 and isinstance(node[0][3], dict) else {}
    given = [tensors.of(each[:3]) for each in node]
    first = given[0] if single or (len(given) == 1) else given
    args, kwargs = keras2.call(layer, first, tensors.of(keywords))
    return {"args": args, "kwargs": kwargs}


def _without_keywords(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_keywords(each) for key, each in value.items()}
    return value[:3] if _is_reference(value) else value
