"""A model's configuration as Keras 3 writes it, made of one that somebody else wrote: checked against a list of names.

Nothing of the file's configuration reaches Keras but by this module, which writes each layer anew: with the module and
the class that the list of names has, with plain values, and without what only training needs. So there is nothing left
that names a function, a file or a class of anybody else's, at whatever depth it stood.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from production_server.errors import InvalidInput, TooLarge
from production_server.json_document import NotJson, read_json
from production_server.models.importing import keras2, keras_graph
from production_server.models.importing.keras_names import (
    ACTIVATIONS,
    LAYERS,
    LEGACY_LAYERS,
    MODELS,
    OPERATIONS,
    OWN_CODE,
    REFUSED,
    VALUES,
    why_refused,
)
from production_server.shown import describe, shown

Config = dict[str, Any]
MOST_DEPTH = 150
"""Brackets in each other; each level of nested models takes four, each bracket a few calls of Python's thousand."""
HARD_SIGMOID_2 = "keras2_hard_sigmoid"
"""Keras 2's `hard_sigmoid`, which is another function than Keras 3's of this name."""
_ONLY_TRAINING = ("_initializer", "_regularizer", "_constraint")
_INNER_LAYERS = frozenset({"layer", "backward_layer", "cell", "cells"})
_ACTIVATION_KEYS = frozenset({"activation", "recurrent_activation"})
_KERAS_PACKAGES = frozenset({"keras", "tf_keras", "tensorflow"})


@dataclass
class Reading:
    """What a configuration is read with, and what comes up meanwhile."""

    keras: int
    """The major version of the Keras that wrote it."""
    notes: list[str] = field(default_factory=list)
    uses_keras2_functions: bool = False

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


def parse(data: bytes | str) -> Any:
    """The JSON of a configuration.

    Raises:
        InvalidInput: it is none, or goes deeper than `MOST_DEPTH`.
        TooLarge: its values would take too much memory.
    """
    try:
        value = read_json(data)
    except NotJson as exc:
        raise InvalidInput.at("file", "a configuration in JSON", shown(exc.got)) from exc
    except TooLarge as exc:
        raise TooLarge.at("file", "a configuration of at most some ten megabytes", "a larger one") from exc
    if _depth(value) > MOST_DEPTH:
        raise InvalidInput.at(
            "file", f"a configuration of at most {MOST_DEPTH} brackets in each other", "more"
        )
    return value


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= MOST_DEPTH:
        depth += 1
        level = [inner for each in level for inner in _inner(each)]
    return depth


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def read_model(config: Any, reading: Reading) -> Config:
    """The configuration of a whole model, for `keras.saving.deserialize_keras_object`.

    Raises:
        InvalidInput: it is no model's, or has a layer that is not served; the field names the layer.
    """
    if not isinstance(config, dict) or "class_name" not in config:
        raise InvalidInput.at("file", "the configuration of a Keras model", describe(config))
    return _model(config, "model", reading)


def _model(written: Config, name: str, reading: Reading) -> Config:
    class_name = _class_of(written, name, reading)
    if class_name not in MODELS:
        raise InvalidInput.at(
            "file",
            "a model of layers: Sequential or Functional",
            f"{shown(class_name)}: {why_refused(class_name)}",
        )
    config = written.get("config")
    read = _sequential if class_name == "Sequential" else _functional
    inner = read(config, name, reading)
    return _written(MODELS[class_name], class_name, inner)


def _written(module: str, class_name: str, config: Config) -> Config:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def _sequential(config: Any, name: str, reading: Reading) -> Config:
    if isinstance(config, list):  # until Keras 2.2
        config = {"layers": config}
    layers = _list(config, "layers", name)
    if reading.keras < 3:
        layers = keras2.with_input(layers)
    found = [_layer(each, reading) for each in layers]
    keras2_names = keras_graph.unique_names([each["config"].get("name") for each in found])
    for each, unique in zip(found, keras2_names, strict=True):
        each["config"]["name"] = unique
    if not found or found[0]["class_name"] != "InputLayer":
        shape = config.get("build_input_shape") if isinstance(config, dict) else None
        if shape is None:
            raise InvalidInput.at(
                f"layers.{shown(name)}",
                "the shape of what goes in",
                "a model that was saved before it was built",
            )
        found.insert(0, _input_layer(plain(shape, name)))
    return {"name": keras_graph.safe_name(config.get("name", name)), "layers": found}


def _input_layer(shape: Any) -> Config:
    config = {"batch_shape": [None, *shape[1:]], "dtype": "float32", "name": "input"}
    return _written("keras.layers", "InputLayer", config)


def _functional(config: Any, name: str, reading: Reading) -> Config:
    layers = []
    for each in _list(config, "layers", name):
        found = _layer(each, reading)
        layer_name = _text(each, "name", name)
        found["config"].setdefault("name", layer_name)
        nodes = _list({"inbound_nodes": []} | each, "inbound_nodes", layer_name)
        layers.append(found | {"name": layer_name, "inbound_nodes": plain(nodes, layer_name)})
    graph = {
        "layers": layers,
        "input_layers": plain(config.get("input_layers"), name),
        "output_layers": plain(config.get("output_layers"), name),
    }
    return {"name": config.get("name", name), "trainable": True} | keras_graph.convert(
        graph, old=reading.keras < 3
    )


def _list(config: Any, key: str, name: str) -> list[Any]:
    found = config.get(key) if isinstance(config, dict) else None
    if not isinstance(found, list):
        raise InvalidInput.at(f"layers.{shown(name)}.{key}", "a list", describe(found))
    return found


def _text(config: Any, key: str, name: str) -> str:
    found = config.get(key) if isinstance(config, dict) else None
    if not isinstance(found, str):
        raise InvalidInput.at(f"layers.{shown(name)}.{key}", "a text", describe(found))
    return found


def _class_of(written: Any, name: str, reading: Reading) -> str:
    """The name of a class of Keras' own.

    Raises:
        InvalidInput: it is somebody else's.
    """
    class_name = _text(written, "class_name", name)
    module, registered = written.get("module"), written.get("registered_name")
    is_keras = module is None or str(module).split(".", 1)[0] in _KERAS_PACKAGES
    if not is_keras or registered not in (None, class_name) or (module is None and "module" in written):
        raise refused(name, str(registered or class_name), OWN_CODE)
    return keras2.CLASSES.get(class_name, class_name) if reading.keras < 3 else class_name


def refused(name: str, class_name: str, why: str) -> InvalidInput:
    """The error for a layer that is not served."""
    return InvalidInput.at(
        f"layers.{shown(name)}",
        "a layer of Keras that runs no code of the file",
        f"{shown(class_name)}: {why}",
    )


def _layer(written: Any, reading: Reading) -> Config:
    """One layer, or a model in the place of one, without its name in a graph and its inbound nodes."""
    name = _name_of(written)
    class_name = _class_of(written, name, reading)
    if class_name in MODELS:
        return _model(written | {"class_name": class_name}, name, reading)
    config = written.get("config")
    if not isinstance(config, dict):
        raise InvalidInput.at(f"layers.{shown(name)}.config", "an object", describe(config))
    module = str(written.get("module"))
    if module in OPERATIONS and class_name in OPERATIONS[module]:
        return _written(module, class_name, plain(config, name)) | {"registered_name": class_name}
    return _single_layer(written, class_name, config, reading)


def _single_layer(written: Config, class_name: str, config: Config, reading: Reading) -> Config:
    name = _name_of(written)
    if reading.keras < 3:
        class_name, config = keras2.convert(class_name, config, name)
    if class_name in keras2.OPERATION_CLASSES:
        return _written(keras2.OPERATION_CLASSES[class_name], class_name.removeprefix("op:"), config)
    if class_name not in LAYERS:
        raise refused(name, class_name, why_refused(class_name))
    place = "keras.src.legacy.layers" if class_name in LEGACY_LAYERS else "keras.layers"
    found = _written(place, class_name, _config(config, class_name, name, reading))
    # Keras 2's shapes are those of its own way to build.
    if reading.keras >= 3 and "build_config" in written:
        found["build_config"] = plain(written["build_config"], name)
    return found


def _name_of(written: Any) -> str:
    if not isinstance(written, dict):
        raise InvalidInput.at("layers", "an object for each layer", describe(written))
    config = written.get("config")
    inner = config.get("name") if isinstance(config, dict) else None
    return str(written.get("name") or inner or written.get("class_name", ""))


def _config(config: Config, class_name: str, name: str, reading: Reading) -> Config:
    kept = {}
    for key, value in config.items():
        # What weights start from and how they are held is of no account once they are read.
        if key.endswith("_initializer"):
            kept[key] = "zeros"
        elif not key.endswith(_ONLY_TRAINING):
            kept[key] = _value(key, value, name, reading)
    _check_values(kept, name)
    if class_name == "InputLayer":
        _free_batch(kept, name, reading)
    return kept


def _free_batch(config: Config, name: str, reading: Reading) -> None:
    """Have an input take a batch of any size; parity shows whether the model does."""
    shape = config.get("batch_shape")
    if isinstance(shape, list) and shape and shape[0] is not None:
        reading.note(f"The input {shown(name)} took batches of {shown(str(shape[0]))}; it takes any now.")
        config["batch_shape"] = [None, *shape[1:]]


def _value(key: str, value: Any, name: str, reading: Reading) -> Any:
    if key in _INNER_LAYERS and value is not None:
        return (
            [_layer(each, reading) for each in value] if isinstance(value, list) else _layer(value, reading)
        )
    if key in _ACTIVATION_KEYS:
        return _activation(value, name, reading)
    if key == "dtype":
        return _dtype(value, name, reading)
    return plain(value, name)


def _check_values(config: Config, name: str) -> None:
    """What a plain value may not say: that a layer reads another file, or keeps what it saw for the next batch."""
    if isinstance(config.get("vocabulary"), str) or isinstance(config.get("idf_weights"), str):
        raise InvalidInput.at(
            f"layers.{shown(name)}.vocabulary", "the words themselves", "the name of another file"
        )
    if config.get("stateful"):
        raise InvalidInput.at(
            f"layers.{shown(name)}.stateful", "false: an answer depends on its item alone", "true"
        )


def _activation(value: Any, name: str, reading: Reading) -> Any:
    if value is None:
        return "linear"
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    if isinstance(value, dict):
        # A layer in the place of a function; old files write a function as an object of its name.
        if value.get("class_name") in (*LAYERS, *REFUSED):
            return _layer(value, reading)
        value = value.get("class_name")
    if value == "hard_sigmoid" and reading.keras < 3:
        reading.uses_keras2_functions = True
        reading.note("hard_sigmoid is computed as Keras 2 does: Keras 3 has another function of this name.")
        return {
            "module": "builtins", "class_name": "function", "config": HARD_SIGMOID_2, "registered_name": HARD_SIGMOID_2,
        }  # fmt: skip
    if isinstance(value, str) and value in keras2.ACTIVATION_LAYERS:
        return _layer({"class_name": value, "config": {"name": value.lower()}}, reading)
    if not isinstance(value, str) or value not in ACTIVATIONS:
        raise InvalidInput.at(
            f"layers.{shown(name)}.activation",
            "a function that Keras itself has (others are code of whoever wrote the file)",
            describe(value),
        )
    return value


def _dtype(value: Any, name: str, reading: Reading) -> Any:
    if isinstance(value, dict):
        if value.get("class_name") not in ("Policy", "PolicyV1", "DTypePolicy"):
            raise InvalidInput.at(
                f"layers.{shown(name)}.dtype", "a type of numbers", describe(value.get("class_name"))
            )
        value = value.get("config", {}).get("name") if isinstance(value.get("config"), dict) else None
    if isinstance(value, str) and value.startswith("mixed_"):
        reading.note(f"Weights are float32, and so is what is computed: not {value}.")
        return "float32"
    return plain(value, name)


def plain(value: Any, name: str) -> Any:
    """A value that names nothing: numbers, texts, lists and objects of them, and arrays that are written out.

    Raises:
        InvalidInput: there is an object of a class in it; the field names the layer.
    """
    if isinstance(value, list):
        return [plain(each, name) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "ndarray":  # until Keras 2.2
        return plain(value.get("value"), name)
    class_name = value.get("class_name")
    if class_name is not None and str(class_name) not in VALUES:
        raise refused(name, str(class_name), f"it stands where a value should, and {OWN_CODE}")
    return {key: plain(each, name) for key, each in value.items()}
