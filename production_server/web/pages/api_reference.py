"""/docs: the API's OpenAPI document as a page that people can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import current_app, render_template, request

from production_server.web.api.openapi import build_document

Schema = Mapping[str, Any]
KINDS = {
    "array": "list",
    "date-time": "time (RFC 3339)",
    "integer": "whole number",
    "string": "text",
    "uuid": "UUID",
}


@dataclass(frozen=True, slots=True)
class TypePart:
    """A piece of a type in words; `schema` names the schema that it links to, if it is one."""

    text: str
    schema: str | None = None


Type = tuple[TypePart, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A parameter, a body, an answer or a property of a schema."""

    name: str
    type: Type
    note: str = ""
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class OperationEntry:
    """One method of one path."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Entry, ...]
    bodies: tuple[Entry, ...]
    answers: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class SchemaEntry:
    """An object that the API takes or answers."""

    name: str
    description: str
    properties: tuple[Entry, ...]


def show() -> str:
    """The reference of this server's API."""
    document = build_document(current_app)
    return render_template(
        "pages/docs.html",
        operations=read_operations(document),
        schemas=read_schemas(document),
        base_url=request.host_url.rstrip("/"),
    )


def read_operations(document: Schema) -> list[OperationEntry]:
    """All operations of an OpenAPI document, in its order."""
    return [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def read_schemas(document: Schema) -> list[SchemaEntry]:
    """All schemas of an OpenAPI document that have properties, in its order."""
    schemas = document["components"]["schemas"].items()
    return [
        SchemaEntry(name, schema.get("description", ""), _properties(schema))
        for name, schema in schemas
        if "properties" in schema
    ]


def in_words(schema: Schema) -> Type:
    """What a JSON schema allows: `list of ItemBody`, `text or null`, `1 or 2`, `any`."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return (TypePart(name, name),)
    if "anyOf" in schema:
        return tuple(_joined(in_words(option) for option in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return (TypePart(" or ".join(f"“{value}”" for value in schema.get("enum", [schema.get("const")]))),)
    if schema.get("type") == "array" and schema.get("items"):
        return (TypePart("list of "), *in_words(schema["items"]))
    if schema.get("format") == "binary":
        return (TypePart("file"),)
    return (TypePart(_simple(schema)),)


def _simple(schema: Schema) -> str:
    kind = str(schema.get("type", "any"))
    kind = KINDS.get(schema.get("format", ""), KINDS.get(kind, kind))
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f"{kind} from {least} to {most}"
    return kind if least is None else f"{kind} from {least}"


def _operation(path: str, method: str, operation: Schema) -> OperationEntry:
    parameters = operation.get("parameters", ())
    return OperationEntry(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        parameters=tuple(
            Entry(each["name"], in_words(each["schema"]), _place(each), each.get("required", False))
            for each in parameters
        ),
        bodies=tuple(_contents(operation.get("requestBody", {}))),
        answers=tuple(
            Entry(f"{status} {answer['description']}", entry.type, entry.name)
            for status, answer in sorted(operation["responses"].items())
            for entry in _contents(answer)
        ),
    )


def _place(parameter: Schema) -> str:
    place = {"path": "in the path", "query": "in the query", "header": "header"}[parameter["in"]]
    return f"{place}: {parameter['description']}" if "description" in parameter else place


def _contents(holder: Schema) -> Iterator[Entry]:
    for media_type, content in holder.get("content", {}).items():
        schema = content["schema"]
        fields = ", ".join(schema.get("properties", {}))
        yield Entry(media_type, (TypePart(f"fields {fields}"),) if fields else in_words(schema))


def _properties(schema: Schema) -> tuple[Entry, ...]:
    required = schema.get("required", ())
    return tuple(
        Entry(name, in_words(each), each.get("description", ""), name in required)
        for name, each in schema["properties"].items()
    )


def _joined(options: Iterator[Type]) -> Iterator[TypePart]:
    for position, option in enumerate(options):
        if position:
            yield TypePart(" or ")
        yield from option
