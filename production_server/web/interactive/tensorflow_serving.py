"""TensorFlow Serving's REST API: predict in rows and columns, and classify.

Source: https://www.tensorflow.org/tfx/serving/api_rest.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import orjson

from production_server.broker.calls import Inputs, Reply
from production_server.errors import CeleriacError, InvalidInput, NotFound
from production_server.models.base64_images import image_of_base64
from production_server.models.manifest import Manifest
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion
from production_server.models.tensor_values import batch_of_json
from production_server.models.tensors import STRING, Tensors
from production_server.shown import describe, describe_names
from production_server.web.interactive.number_lists import MARK, items_in, set_apart
from production_server.web.interactive.protocol import Ask, HttpAnswer, HttpRequest, error_answer
from production_server.web.interactive.tensors import checked_objects, json_object

SIGNATURE = "serving_default"
JSON = "application/json"
BYTES_SUFFIX = "_bytes"
"""Of the names of outputs that TensorFlow Serving writes in Base64."""

_PATH = re.compile(r"/v1/models/([^/:]+)(?:/(versions|labels)/([^/:]+))?:(predict|classify|regress)")


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is written: of predict in rows or columns, or of what the task does."""

    member: str


DOES = {None: "predicts", "classify": "classifies", "regress": "regresses"}

# "results" is what the server writes; its documentation says "result" (tensorflow/serving#1208).
ROWS, COLUMNS, RESULTS = Form("predictions"), Form("outputs"), Form("results")


class TensorFlowServing:
    """Reads and writes predict and classify requests for the models of a registry."""

    name = "v1"
    route = "/v1/models/{model}:{method}"

    def __init__(self, registry: Registry, status_of: Callable[[CeleriacError], int]) -> None:
        self._registry = registry
        self._status_of = status_of

    def takes(self, method: str, path: str) -> bool:
        return method == "POST" and path.startswith("/v1/models/")

    def read(self, request: HttpRequest) -> Ask:
        match = _PATH.fullmatch(request.path)
        if match is None:
            raise NotFound(
                "there is only /v1/models/<model>[/versions/<version>|/labels/<channel>]:predict or :classify here",
                code="not_found",
            )
        model, kind, which, verb = match.groups()
        version = self._version(model, kind, which or "", sticky=request.sticky)
        if verb == "predict" and (ask := _of_numbers(version, request.body)) is not None:
            return ask
        given = json_object(request.body, "the request")
        body = {name: value for name, value in given.items() if value is not None}
        signature = body.get("signature_name") or SIGNATURE
        if signature != SIGNATURE:
            raise InvalidInput.at("signature_name", SIGNATURE, describe(signature))
        if verb == "predict":
            return _predict(version, body)
        if verb != version.task.verb:
            known = " or ".join(f":{each}" for each in ("predict", version.task.verb) if each)
            raise InvalidInput(f"{version.manifest.name} {DOES[version.task.verb]}: ask {known}")
        return Ask(version, _examples(version, body), None, RESULTS)

    def write(self, ask: Ask, reply: Reply) -> HttpAnswer:
        if reply.outputs is None:
            raise CeleriacError("a reply without outputs is no answer")
        form: Form = ask.details
        if form is RESULTS:
            values: Any = ask.version.task.results(reply.outputs)
        else:
            values = _rows_of(reply.outputs) if form is ROWS else _columns_of(reply.outputs)
        return HttpAnswer(200, JSON, orjson.dumps({form.member: values}, option=orjson.OPT_SERIALIZE_NUMPY))

    def write_error(self, error: CeleriacError) -> HttpAnswer:
        return error_answer(error, self._status_of(error))

    def _version(self, model: str, kind: str | None, which: str, *, sticky: str) -> ModelVersion:
        """A version by its number or a label; else the stable one, or the canary."""
        if kind == "versions":
            return self._registry.resolve(model, which)
        if kind == "labels":
            return labelled(self._registry, model, which)
        return self._registry.draw(model, sticky=sticky)


def asks_for_inference(path: str) -> bool:
    """Whether it is a path to which requests are posted, of whatever model."""
    return _PATH.fullmatch(path) is not None


def labelled(registry: Registry, model: str, label: str) -> ModelVersion:
    """The version that a label names: Celeriac's channels are what TensorFlow Serving calls labels.

    Raises:
        NotFound: there is no such model or label.
    """
    channels = registry.channels(model)
    if label not in channels:
        known = ", ".join(channels)
        raise NotFound(f"model {model!r} has no label {label!r}; it has {known}", code="version_not_found")
    return registry.resolve(model, label)


def _of_numbers(version: ModelVersion, body: bytes) -> Ask | None:
    """What the usual body asks, a list of items that are nothing but numbers; None: it is to be read step by step."""
    form = COLUMNS if body.startswith(b'{"inputs"') else ROWS
    member = "inputs" if form is COLUMNS else "instances"
    apart = set_apart(body, member.encode()) if len(version.manifest.inputs) == 1 else None
    if apart is None:
        return None
    try:
        given = json_object(apart.document, "the request")
    except CeleriacError:
        return None  # with places that are not the client's
    signature = given.pop("signature_name", None) or SIGNATURE
    if given != {member: MARK} or signature != SIGNATURE:
        return None
    (spec,) = version.manifest.inputs
    items = items_in(apart.numbers, spec.item_shape, spec.dtype)
    return None if items is None else Ask(version, {spec.name: items}, None, form)


def _predict(version: ModelVersion, body: Mapping[str, Any]) -> Ask:
    if ("instances" in body) == ("inputs" in body):
        raise InvalidInput.at(
            "the request", "either instances or inputs", "both" if "inputs" in body else "neither"
        )
    if "instances" in body:
        return Ask(version, _rows(version, body["instances"]), None, ROWS)
    return Ask(version, _columns(version, body["inputs"]), None, COLUMNS)


def _rows_of(outputs: Tensors) -> Any:
    """A value for each item; of several outputs an object for each, with their names."""
    columns = _columns_of(outputs)
    if len(outputs) == 1:
        return columns
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _columns_of(outputs: Tensors) -> Any:
    """The only output, or all of them by name."""
    told = {name: _told(name, each) for name, each in outputs.items()}
    return told if len(told) > 1 else next(iter(told.values()))


def _told(name: str, output: np.ndarray) -> Any:
    """An output as orjson writes it. What a name says is bytes is written in Base64."""
    if output.dtype.kind == "f":
        # With as many digits as tell a number from its neighbours in its own dtype.
        return np.ascontiguousarray(output)
    values = output.tolist()
    return _as_b64(values) if name.endswith(BYTES_SUFFIX) and output.dtype.kind == "O" else values


def _as_b64(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_b64(each) for each in value]
    return {"b64": base64.b64encode(value.encode()).decode()}


def _rows(version: ModelVersion, instances: object, *, field: str = "instances") -> Inputs:
    """One value for each item: what the model's input takes, or an object with it by name."""
    if not isinstance(instances, list) or not instances:
        raise InvalidInput.at(field, "a list of at least one", describe(instances))
    if version.task.inputs.takes_tensors:
        return _named_rows(version.manifest, instances, field)
    (spec,) = version.manifest.inputs
    if type(instances[0]) in {int, float} and spec.item_shape != (1,):
        expected = f"a list of {_numbers(spec.known_item_shape)} (a single one: [[…]])"
        raise InvalidInput.at(f"{field}[0]", expected, describe(instances[0]))
    values = [_value(version, each, f"{field}[{place}]") for place, each in enumerate(instances)]
    if version.task.inputs.takes_files and isinstance(values[0], bytes):
        return _all_images(values, field)
    return _tensor(version.manifest, values, field)


def _named_rows(manifest: Manifest, instances: list[Any], field: str) -> Inputs:
    """An object with every input for each item, or the value of the only one."""
    names = [spec.name for spec in manifest.inputs]
    if len(names) > 1 or (isinstance(instances[0], dict) and not _is_b64(instances[0])):
        for place, each in enumerate(instances):
            if not isinstance(each, dict) or set(each) != set(names):
                got = describe_names(each) if isinstance(each, dict) else describe(each)
                raise InvalidInput.at(f"{field}[{place}]", f"an object with {', '.join(names)}", got)
        columns = {name: [each[name] for each in instances] for name in names}
    else:
        columns = {names[0]: instances}
    return _batches(manifest, columns, field)


def _named_columns(manifest: Manifest, inputs: object) -> Inputs:
    """All items of every input, by name; of the only one also without it."""
    names = [spec.name for spec in manifest.inputs]
    if not isinstance(inputs, dict):
        if len(names) > 1:
            raise InvalidInput.at("inputs", f"an object with {', '.join(names)}", describe(inputs))
        inputs = {names[0]: inputs}
    if set(inputs) != set(names):
        raise InvalidInput.at("inputs", f"an object with {', '.join(names)}", describe_names(inputs))
    return _batches(manifest, inputs, "inputs")


def _batches(manifest: Manifest, columns: Mapping[str, object], field: str) -> Inputs:
    batches: dict[str, np.ndarray] = {}
    for spec in manifest.inputs:
        values = columns[spec.name]
        where = f"{field}.{spec.name}" if len(manifest.inputs) > 1 else field
        batches[spec.name] = batch_of_json(
            _texts(values, where) if spec.dtype == STRING else values, spec, field=where
        )
    counts = {name: len(each) for name, each in batches.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InvalidInput.at(field, "one number of items", told)
    return batches


def _texts(value: object, field: str) -> object:
    """Texts, also those that are written in Base64."""
    if isinstance(value, list):
        return [_texts(each, field) for each in value]
    if not _is_b64(value):
        return value
    try:
        return base64.b64decode(value["b64"], validate=True).decode()
    except (TypeError, ValueError) as exc:
        raise InvalidInput.at(field, "Base64 of texts in UTF-8", describe(value["b64"])) from exc


def _numbers(shape: tuple[int, ...]) -> str:
    also = "" if len(shape) == 1 else f" of the shape {list(shape)}"
    return f"{math.prod(shape)} numbers{also}"


def _value(version: ModelVersion, instance: object, field: str) -> object:
    """An item as nested numbers, or as an image file."""
    manifest = version.manifest
    (spec,) = manifest.inputs
    if not isinstance(instance, dict):
        # TensorFlow Serving's first example: a model of one column, and a number for each item.
        return [instance] if spec.item_shape == (1,) and not isinstance(instance, list) else instance
    if version.task.inputs.takes_files:
        if _is_b64(instance):
            return _image(instance, field)
        name, value = _only_member(instance, (spec.name, f"{spec.name}_bytes"), field)
        return _image(value, f"{field}.{name}") if _is_b64(value) else value
    columns = [feature.name for feature in manifest.features]
    if set(instance) == set(columns):
        return [instance[name] for name in columns]
    _, value = _only_member(instance, (spec.name,), field, also=f", or all of {', '.join(columns)}")
    return value


def _columns(version: ModelVersion, inputs: object) -> Inputs:
    """All items of an input together."""
    manifest = version.manifest
    if version.task.inputs.takes_tensors:
        return _named_columns(manifest, inputs)
    (spec,) = manifest.inputs
    if not isinstance(inputs, dict):
        return _rows(version, inputs, field="inputs")
    columns = [feature.name for feature in manifest.features]
    if columns and set(inputs) == set(columns):
        given = [inputs[name] for name in columns]
        lengths = {len(column) if isinstance(column, list) else -1 for column in given}
        if len(lengths) != 1 or -1 in lengths:
            raise InvalidInput.at("inputs", "lists of one length", "others")
        return _tensor(manifest, [list(row) for row in zip(*given, strict=True)], "inputs")
    names = (spec.name,) if columns else (spec.name, f"{spec.name}_bytes")
    also = f", or all of {', '.join(columns)}" if columns else ""
    name, value = _only_member(inputs, names, "inputs", also=also)
    return _rows(version, value, field=f"inputs.{name}")


def _examples(version: ModelVersion, body: Mapping[str, Any]) -> Inputs:
    """Features by name; those of `context` are in every example, and in none by themselves."""
    context = body.get("context", {})
    examples = checked_objects(body.get("examples"), "objects", field="examples")
    if not isinstance(context, dict):
        raise InvalidInput.at("context", "an object", describe(context))
    for place, example in enumerate(examples):
        both = context.keys() & example.keys()
        if both:
            raise InvalidInput.at(f"examples[{place}]", "no feature of the context", min(both)[:40])
    columns = {feature.name for feature in version.manifest.features}
    return _rows(version, [_features(context | example, columns) for example in examples], field="examples")


def _features(example: Mapping[str, Any], columns: Collection[str]) -> dict[str, Any]:
    """An example's features. A column may be a list of one value: TensorFlow's Example has nothing but lists."""
    return {
        name: value[0] if name in columns and isinstance(value, list) and len(value) == 1 else value
        for name, value in example.items()
    }


def _only_member(
    given: Mapping[str, Any], names: tuple[str, ...], field: str, *, also: str = ""
) -> tuple[str, Any]:
    if len(given) != 1 or next(iter(given)) not in names:
        expected = " or ".join(names) + also
        raise InvalidInput.at(
            field, f"an object with {expected}", ", ".join(str(name)[:40] for name in list(given)[:20])
        )
    return next(iter(given.items()))


def _is_b64(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, dict) and set(value) == {"b64"}


def _image(value: Mapping[str, Any], field: str) -> bytes:
    return image_of_base64(value["b64"], field=f"{field}.b64")


def _all_images(values: list[object], field: str) -> list[bytes]:
    images = [value for value in values if isinstance(value, bytes)]
    if len(images) != len(values):
        raise InvalidInput.at(field, "either image files or pixels", "both")
    return images


def _tensor(manifest: Manifest, values: list[object], field: str) -> Tensors:
    (spec,) = manifest.inputs
    return {spec.name: batch_of_json(values, spec, field=field)}
