"""What Keras 1 and 2 wrote otherwise than Keras 3 reads it: names of layers and settings, and operations of TensorFlow.

Each conversion is exact; what has no exact counterpart is refused by name.
"""

from __future__ import annotations

from typing import Any

from production_server.errors import InvalidInput
from production_server.shown import describe, shown

Config = dict[str, Any]

CLASSES = {
    "Model": "Functional",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
}
"""Classes by what earlier versions called them."""
ACTIVATION_LAYERS = frozenset({"ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"})
"""Layers whose names old files have in the place of a function's."""
_NUMPY, _NN = "keras.src.ops.numpy", "keras.src.ops.nn"
_OPERATIONS = {
    "__operators__.add": "Add", "math.add": "Add", "math.subtract": "Subtract", "math.multiply": "Multiply",
    "math.truediv": "TrueDivide", "math.divide": "TrueDivide", "math.maximum": "Maximum", "math.minimum": "Minimum",
    "math.pow": "Power", "math.abs": "Absolute", "math.exp": "Exp", "math.log": "Log", "math.negative": "Negative",
    "math.sqrt": "Sqrt", "math.square": "Square", "math.tanh": "Tanh",
    "math.sigmoid": "Sigmoid",
    "nn.sigmoid": "Sigmoid", "nn.relu": "Relu", "nn.relu6": "Relu6", "nn.softmax": "Softmax",
    "nn.silu": "Silu", "nn.tanh": "Tanh",
    "math.reduce_mean": "Mean", "reduce_mean": "Mean", "math.reduce_sum": "Sum", "reduce_sum": "Sum",
    "math.reduce_max": "Max", "reduce_max": "Max", "clip_by_value": "Clip", "concat": "Concatenate",
    "expand_dims": "ExpandDims", "reshape": "Reshape", "squeeze": "Squeeze", "transpose": "Transpose",
}  # fmt: skip
"""Operations of Keras 3 by the functions of TensorFlow that TFOpLambda names and that compute the same."""
OPERATION_CLASSES = {
    f"op:{name}": _NN if name in ("Relu", "Relu6", "Sigmoid", "Silu", "Softmax") else _NUMPY
    for name in _OPERATIONS.values()
}
_OPERATION_MODULES = frozenset({_NUMPY, _NN})
_OPERANDS = ("y",)
_OPERATION_SETTINGS = {
    "axis": "axis", "keepdims": "keepdims", "clip_value_min": "x_min", "clip_value_max": "x_max", "shape": "newshape",
    "perm": "axes",
}  # fmt: skip
"""Settings of operations by what TensorFlow calls these arguments."""

_RECURRENT = frozenset({"GRU", "LSTM", "SimpleRNN"})
_ONE_GROUP = frozenset({
    "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D",
    "SeparableConv2D",
})  # fmt: skip
_NO_KERNEL = frozenset({"DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"})
_DROPPED = frozenset({
    "W_constraint", "W_regularizer", "b_constraint", "b_regularizer", "U_regularizer", "batch_input_shape",
    "beta_init", "consume_less", "dynamic", "forget_bias_init", "gamma_init", "implementation", "init", "inner_init",
    "input_dtype", "input_length", "legacy", "optional", "key_shape", "query_shape", "renorm_momentum",
    "softmax_robust_masking", "synchronized", "value_shape",
})  # fmt: skip
"""Settings that say how a layer was made or computed, and not what it answers."""
_UNLESS_SET = frozenset({
    "adjustment", "dropout_layer", "fused", "ragged", "renorm", "renorm_clipping", "sparse", "time_major",
    "virtual_batch_size", "weights",
})  # fmt: skip
"""Settings that Keras 3 has not: dropped as long as they are off."""
_RENAMED = {
    "bias": "use_bias", "border_mode": "padding", "dropout_U": "recurrent_dropout", "dropout_W": "dropout",
    "filter_length": "kernel_size", "inner_activation": "recurrent_activation", "nb_filter": "filters",
    "output_dim": "units", "p": "rate", "pool_length": "pool_size", "sigma": "stddev", "stride": "strides",
    "subsample": "strides", "subsample_length": "strides", "atrous_rate": "dilation_rate",
}  # fmt: skip
"""Settings of Keras 1 by the names that they have since Keras 2."""
_MERGES = {
    "sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate", "dot": "Dot",
    "cos": "Dot",
}  # fmt: skip


def with_input(layers: list[Any]) -> list[Any]:
    """The layers of a Sequential, with the input in front that Keras 1 and 2 wrote into the first of them."""
    first = layers[0] if layers and isinstance(layers[0], dict) else {}
    inner: Any = first.get("config")
    shape = inner.get("batch_input_shape") if isinstance(inner, dict) else None
    if isinstance(shape, list) and first.get("class_name") != "InputLayer":
        kept = {key: inner[key] for key in ("dtype", "input_dtype") if key in inner}
        made = kept | {"batch_input_shape": shape, "name": f"{inner.get('name', 'layer')}_input"}
        return [{"class_name": "InputLayer", "config": made}, *layers]
    return layers


def convert(class_name: str, config: Config, name: str) -> tuple[str, Config]:
    """Class and settings of a layer as Keras 3 has them.

    Raises:
        InvalidInput: it has no exact counterpart; the field names the layer, or its setting.
    """
    if class_name == "TFOpLambda":
        return _operation(config, name)
    if class_name == "InputLayer":
        return class_name, _input(config, name)
    if class_name == "Merge":
        return _merge(config, name)
    found = _settings(class_name, config, name)
    for convert_one in (_convolution, _recurrent, _normalization, _activation, _dense):
        convert_one(class_name, found, name)
    return class_name, found


def _settings(class_name: str, config: Config, name: str) -> Config:
    found = {}
    for key, value in config.items():
        if key in _DROPPED or (key == "input_dim" and class_name != "Embedding"):
            continue
        if key in _UNLESS_SET:
            _expect(name, key, value, (None, False, {}, []))
            continue
        # In an Embedding it has been the size of what comes out all along.
        new = key if class_name == "Embedding" and key == "output_dim" else _RENAMED.get(key, key)
        if key == "dim_ordering":
            new, value = "data_format", _data_format(value, name)  # noqa: PLW2901  # one pair
        found[new] = value
    return found


def _expect(name: str, key: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise InvalidInput.at(
            f"layers.{shown(name)}.{key}",
            f"{describe(allowed[0])}: Keras 3 knows nothing else",
            describe(value),
        )


def _data_format(ordering: Any, name: str) -> str:
    formats = {"tf": "channels_last", "th": "channels_first"}
    if str(ordering) not in formats:
        raise InvalidInput.at(
            f"layers.{shown(name)}.dim_ordering",
            '"tf" or "th" (it was a setting of the machine)',
            describe(ordering),
        )
    return formats[ordering]


def _convolution(class_name: str, config: Config, name: str) -> None:
    if "nb_row" in config and "nb_col" in config:
        config["kernel_size"] = [config.pop("nb_row"), config.pop("nb_col")]
    if class_name in _ONE_GROUP and "groups" in config:
        _expect(name, "groups", config.pop("groups"), (1, None))
    if class_name in _NO_KERNEL:
        config.pop("kernel_initializer", None)
    if class_name in ("DepthwiseConv1D", "DepthwiseConv2D"):
        config.pop("filters", None)


def _recurrent(class_name: str, config: Config, name: str) -> None:
    del name
    if class_name == "GRU":
        config.setdefault("reset_after", False)  # as it was until Keras 2.2 wrote it down
    if class_name in _RECURRENT:
        # A default of Keras 1 and 2 that is not Keras 3's.
        if class_name != "SimpleRNN":
            config.setdefault("recurrent_activation", "hard_sigmoid")
        else:
            config.pop("recurrent_activation", None)
        config.setdefault("return_sequences", False)


def _normalization(class_name: str, config: Config, name: str) -> None:
    if class_name in ("BatchNormalization", "LayerNormalization"):
        axis = config.get("axis")
        if isinstance(axis, list) and len(axis) == 1:
            config["axis"] = axis[0]
    if class_name == "BatchNormalization" and "mode" in config:
        _expect(name, "mode", config.pop("mode"), (0,))


def _activation(class_name: str, config: Config, name: str) -> None:
    del name
    if class_name == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")


def _dense(class_name: str, config: Config, name: str) -> None:
    del name
    if class_name == "Embedding":
        config.pop("dropout", None)


def _input(config: Config, name: str) -> Config:
    for key in ("sparse", "ragged"):
        _expect(name, key, config.get(key), (None, False))
    shape = config.get("batch_input_shape", config.get("batch_shape"))
    if not isinstance(shape, list) or not shape:
        raise InvalidInput.at(f"layers.{shown(name)}.batch_input_shape", "a list of sizes", describe(shape))
    dtype = config.get("dtype") or config.get("input_dtype") or "float32"
    return {"batch_shape": shape, "dtype": dtype, "name": config.get("name", name)}


def _merge(config: Config, name: str) -> tuple[str, Config]:
    mode = str(config.get("mode"))
    if mode not in _MERGES or config.get("mode_type", "raw") != "raw":
        raise InvalidInput.at(
            f"layers.{shown(name)}.mode",
            f"one of {', '.join(_MERGES)} (a function is code of the file)",
            describe(mode),
        )
    found: Config = {"name": config.get("name", name)}
    if mode == "concat":
        found["axis"] = config.get("concat_axis", -1)
    if mode in ("dot", "cos"):
        found |= {"axes": config.get("dot_axes", -1), "normalize": mode == "cos"}
    return _MERGES[mode], found


def _operation(config: Config, name: str) -> tuple[str, Config]:
    function = str(config.get("function"))
    if function not in _OPERATIONS:
        raise InvalidInput.at(
            f"layers.{shown(name)}",
            "an operation that Keras 3 has too (use a layer, or export to ONNX where the model was made)",
            f"tf.{shown(function)}",
        )
    return f"op:{_OPERATIONS[function]}", {"name": config.get("name", name)}


def call(layer: Config, first: Any, keywords: Config) -> tuple[list[Any], Config]:
    """What a layer is called with in Keras 3, of what it was called with: its first argument, and others by name.

    What TensorFlow's functions take as arguments and Keras' operations as settings goes into the layer's config.

    Raises:
        InvalidInput: an operation has an argument that is not known here.
    """
    if layer["module"] not in _OPERATION_MODULES:
        return [first], {
            key: value for key, value in keywords.items() if value is not None and key != "training"
        }
    args = [first]
    for key, value in keywords.items():
        if value is None or key == "name":
            continue
        if key in _OPERANDS:
            args.append(value)
        elif key in _OPERATION_SETTINGS:
            layer["config"][_OPERATION_SETTINGS[key]] = value
        else:
            raise InvalidInput.at(f"layers.{shown(layer['name'])}.{key}", "no such argument", describe(value))
    return args, {}
