from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from production_server.web.pages.api_reference import in_words
from tests.unit.web.pages.conftest import Page

Get = Callable[[str], Page]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "any"),
        ({"type": "string"}, "text"),
        ({"type": "string", "format": "uuid"}, "UUID"),
        ({"type": "string", "format": "binary"}, "file"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, "whole number from 1 to 9"),
        ({"type": "integer", "minimum": 0}, "whole number from 0"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Item"}}, "list of Item"),
        ({"type": "array", "items": {}}, "list"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number or null"),
        ({"enum": ["normal", "high"]}, "“normal” or “high”"),
        ({"const": 1}, "“1”"),
    ],
)
def test_a_schema_is_told_in_words(schema: dict[str, Any], words: str) -> None:
    assert "".join(part.text for part in in_words(schema)) == words


def test_every_operation_and_object_of_the_api_is_on_the_page(web: FlaskClient, get: Get) -> None:
    document = json.loads(web.get("/openapi.json").data)

    page = get("/docs")

    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path} {operation['summary']}" in page.text
    for name, schema in document["components"]["schemas"].items():
        assert ("properties" in schema) == (f'<h3 id="schema-{name}">' in page.source), name


def test_every_link_inside_the_page_leads_somewhere(get: Get) -> None:
    source = get("/docs").source

    targets = set(re.findall(r'\bid="([^"]+)"', source))
    assert set(re.findall(r'href="#([^"]+)"', source)) <= targets
