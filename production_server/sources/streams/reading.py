"""From a message to what it asks for: which model, and which inputs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from production_server.errors import InvalidInput
from production_server.intake.checking import Upload, items_from_files, items_from_json, items_from_table
from production_server.intake.intake import Intake
from production_server.jobs.records import NewItem
from production_server.json_document import NotJson, read_json
from production_server.models.store import ModelVersion
from production_server.shown import describe
from production_server.sources.cloud_events import MEDIA_TYPE, media_type_of
from production_server.sources.streams.message import Message
from production_server.sources.streams.rules import How, StreamRule
from production_server.storage.objects import Reference

CLOUD_EVENT = f"{MEDIA_TYPE}+json"
MAX_REQUEST_ID = 255
Kind = Literal["json", "image", "csv", "reference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a message asks for: `inputs` of JSON, or bytes that are an image, a table, or the address of one."""

    message: Message
    request_id: str | None
    model: str
    version: str | None
    kind: Kind
    data: bytes
    inputs: Sequence[object] = ()
    name: str


@dataclass(frozen=True, slots=True)
class _Envelope:
    """What stands around the data of a message."""

    data: bytes
    content_type: str
    id: str | None
    attributes: Mapping[str, str]


def request_id_of(message: Message) -> str | None:
    """As whoever sent a message calls it, also where nothing else of it can be read."""
    found = next(
        (message.headers[name] for name in ("ce_id", "ce-id", "id") if name in message.headers), None
    )
    return found[:MAX_REQUEST_ID] if found and "\0" not in found else None


def read_message(message: Message, rule: StreamRule) -> Asking:
    """What a message asks for, by its headers, its CloudEvent (github.com/cloudevents/spec) and its value.

    Raises:
        InvalidInput: it cannot be told, or it asks for a model that the stream is not for; names the field.
    """
    envelope = _unwrap(message)
    kind = _kind_of(envelope, rule.read)
    told: Mapping[str, object] = dict(envelope.attributes)
    inputs: Sequence[object] = ()
    data = envelope.data
    if kind in ("json", "reference"):
        body = _body_of(envelope.data)
        told = {**told, **body}
        _refuse_unknown(body)
        if "url" in body and "inputs" in body:
            raise InvalidInput.at("inputs", "either inputs, or the url of an object", "both")
        if kind == "reference" or "url" in body:
            kind, data = "reference", str(_text(body, "url") or "").encode()
        else:
            inputs = _inputs_of(body)
    request_id = _text(told, "id") or envelope.id
    if request_id and (len(request_id) > MAX_REQUEST_ID or "\0" in request_id):
        raise InvalidInput.at("id", f"at most {MAX_REQUEST_ID} characters", f"{len(request_id)}")
    return Asking(
        message=message,
        request_id=request_id,
        model=_model_of(_text(told, "model"), rule),
        version=rule.version or _text(told, "version"),
        kind=kind,
        data=data,
        inputs=inputs,
        name=_text(told, "name") or message.place.replace("/", "-"),
    )


def names_image(asking: Asking, version: ModelVersion) -> bool:
    """Whether a message names an object that is an item, which workers fetch as they do those of scans."""
    return asking.kind == "reference" and version.task.inputs.takes_files


def items_of(asking: Asking, version: ModelVersion, intake: Intake) -> list[NewItem] | list[Reference]:
    """The checked inputs that a message brings, the rows of a table that it names, or the image, which is not fetched.

    Raises:
        InvalidInput, TooLarge: nothing can be made of it. NotFound: there is no such object.
        StorageUnavailable: its bucket does not answer now.
        Unavailable: there is no time or no memory to look at the images (code `overloaded`).
    """
    settings, storage = intake.settings, intake.storage
    if asking.kind == "json":
        return items_from_json(version, [asking.inputs], settings)
    data, name = asking.data, asking.name
    if asking.kind == "reference":
        location = intake.location(data.decode())
        if names_image(asking, version):
            return [Reference(location.url)]
        data = storage.fetch(storage.find(location), max_bytes=settings.max_body_bytes)
    if asking.kind in ("csv", "reference"):
        return items_from_table(version, data, settings)[0]
    return items_from_files(version, [Upload(name, data)], settings)


def _unwrap(message: Message) -> _Envelope:
    headers = message.headers
    content_type = media_type_of(headers.get("content-type", ""))
    attributes = {name: headers[name] for name in ("model", "version", "name", "id") if name in headers}
    if content_type == CLOUD_EVENT:
        return _unwrap_structured(message.value, attributes)
    return _Envelope(message.value, content_type, request_id_of(message), attributes)


def _unwrap_structured(value: bytes, attributes: Mapping[str, str]) -> _Envelope:
    event = _body_of(value)
    if event.get("specversion") != "1.0":
        raise InvalidInput.at(
            "specversion", '"1.0", the version of CloudEvents', describe(event.get("specversion"))
        )
    content_type = media_type_of(_text(event, "datacontenttype") or "application/json")
    if "data_base64" in event:
        try:
            data = base64.b64decode(_text(event, "data_base64") or "", validate=True)
        except ValueError as exc:
            raise InvalidInput.at("data_base64", "Base64", describe(event["data_base64"])) from exc
    else:
        data = _written(event.get("data"))
    told = {name: str(event[name]) for name in ("model", "version", "name") if name in event}
    return _Envelope(data, content_type, _text(event, "id"), {**attributes, **told})


def _written(data: object) -> bytes:
    return data.encode() if isinstance(data, str) else orjson.dumps(data)


def _kind_of(envelope: _Envelope, how: How) -> Kind:
    if how != "auto":
        return how
    if envelope.content_type.startswith("image/"):
        return "image"
    if envelope.content_type == "text/csv":
        return "csv"
    # Of messages that do not say what they are most are JSON, and an object says so by its first character.
    is_json = envelope.content_type.endswith("json") or (
        not envelope.content_type and envelope.data.lstrip()[:1] == b"{"
    )
    return "json" if is_json else "image"


def _body_of(data: bytes) -> Mapping[str, object]:
    try:
        body = read_json(data)
    except NotJson as exc:
        raise InvalidInput.at(exc.where or "value", exc.expected, exc.got, code="malformed_json") from exc
    if not isinstance(body, dict):
        raise InvalidInput.at("value", 'an object, such as {"inputs": […]}', describe(body))
    return body


def _inputs_of(body: Mapping[str, object]) -> Sequence[object]:
    inputs = body.get("inputs")
    if not isinstance(inputs, list):
        raise InvalidInput.at("inputs", "a list of inputs", describe(inputs))
    return inputs


def _refuse_unknown(body: Mapping[str, object]) -> None:
    """A misspelt member would otherwise be ignored in silence."""
    known = {"id", "inputs", "model", "name", "url", "version"}
    unknown = sorted(body.keys() - known)
    if unknown:
        expected = f"nothing of this name; known are {', '.join(sorted(known))}"
        raise InvalidInput.at(unknown[0], expected, describe(body[unknown[0]]))


def _text(told: Mapping[str, object], name: str) -> str | None:
    value = told.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInput.at(name, "a text", describe(value))
    return value


def _model_of(asked: str | None, rule: StreamRule) -> str:
    if asked is None and len(rule.models) == 1:
        return rule.models[0]
    if asked not in rule.models:
        got = "nothing" if asked is None else describe(asked)
        raise InvalidInput.at("model", f"a model that this stream is for ({', '.join(rule.models)})", got)
    return asked
