"""What cloud-init itself says of a cloud-config: by its schema, and by the keys that the schema describes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import yaml

FIRST_LINE = "#cloud-config"
PLACES = (
    # Where the package has it, if this machine is one that cloud-init sets up.
    Path("/usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json"),
    # Where tools/test-programs puts it elsewhere.
    Path(__file__).parent / "cloud-init" / "schema.json",
)


def find_schema() -> dict[str, Any] | None:
    """The schema; None: it is not on this machine."""
    found = next((place for place in PLACES if place.exists()), None)
    return None if found is None else dict(json.loads(found.read_text()))


def faults_of(user_data: str, schema: dict[str, Any]) -> list[str]:
    """Why cloud-init would not do what it is told, each with the place.

    Its schema lets a misspelt top-level key pass: it is ignored, and what it should have done does not happen.
    """
    if user_data.partition("\n")[0] != FIRST_LINE:
        return [f"the first line is not {FIRST_LINE}"]
    content = yaml.safe_load(user_data)
    found = jsonschema.Draft4Validator(schema).iter_errors(content)
    faults = [f"{error.json_path}: {error.message}" for error in found]
    unknown = content.keys() - known_keys(schema) if isinstance(content, dict) else set()
    return faults + [f"$.{key}: cloud-init knows no such key" for key in sorted(unknown)]


def known_keys(schema: dict[str, Any]) -> set[str]:
    """The top-level keys that some module of cloud-init describes."""
    modules = [part for name, part in schema["$defs"].items() if name.startswith("cc_")]
    return {key for part in (schema, *modules) for key in part.get("properties", ())}
