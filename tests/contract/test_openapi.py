"""The OpenAPI document against the behaviour: schemathesis asks what the document allows, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from production_server.access.key_text import new_key
from production_server.settings import read_settings
from production_server.web.app import create_app
from production_server.web.edge.parts import build_parts
from testing.small_models import write_image_model, write_table_model

OPERATIONS = [
    ("/api/audit", "get"),
    ("/api/jobs", "get"),
    ("/api/jobs", "post"),
    ("/api/jobs/{job_id}", "delete"),
    ("/api/jobs/{job_id}", "get"),
    ("/api/jobs/{job_id}/events", "get"),
    ("/api/jobs/{job_id}/results", "get"),
    ("/api/jobs/{job_id}/results.csv", "get"),
    ("/api/jobs/{job_id}/results.json", "get"),
    ("/api/stats", "get"),
    ("/api/streams", "get"),
    ("/api/training-runs", "get"),
    ("/api/training-runs", "post"),
    ("/api/training-runs/{run_id}", "get"),
    ("/api/training-runs/{run_id}", "delete"),
    ("/api/training-runs/{run_id}/log", "get"),
    ("/api/training-runs/{run_id}/resume", "post"),
    ("/api/results", "get"),
    ("/api/results.csv", "get"),
    ("/api/faces", "get"),
    ("/api/faces/decisions", "get"),
    ("/api/faces/decisions", "post"),
    ("/api/faces/decisions/last", "delete"),
    ("/api/faces/decisions/{number}", "delete"),
    ("/api/faces/groups", "get"),
    ("/api/faces/{number}", "get"),
    ("/api/faces/{number}/picture.png", "get"),
    ("/api/keys", "get"),
    ("/api/keys", "post"),
    ("/api/keys/{key_id}", "delete"),
    ("/api/keys/{key_id}", "get"),
    ("/api/keys/{key_id}/rotate", "post"),
    ("/api/imports", "get"),
    ("/api/imports/{import_id}", "delete"),
    ("/api/imports/{import_id}", "get"),
    ("/api/label-sets", "get"),
    ("/api/label-sets", "post"),
    ("/api/label-sets/{name}", "get"),
    ("/api/labels/{name}", "get"),
    ("/api/labels/{name}/coco.json", "get"),
    ("/api/labels/{name}/decisions", "get"),
    ("/api/labels/{name}/decisions", "post"),
    ("/api/labels/{name}/decisions/last", "delete"),
    ("/api/labels/{name}/decisions/{number}", "delete"),
    ("/api/labels/{name}/import", "post"),
    ("/api/labels/{name}/label-studio.json", "get"),
    ("/api/labels/{name}/labels.csv", "get"),
    ("/api/labels/{name}/labels.jsonl", "get"),
    ("/api/labels/{name}/labels.zip", "get"),
    ("/api/labels/{name}/next", "get"),
    ("/api/models", "get"),
    ("/api/models", "post"),
    ("/api/models/{name}", "get"),
    ("/api/models/{name}/canary", "get"),
    ("/api/models/{name}/channels", "get"),
    ("/api/models/{name}/channels/{channel}", "delete"),
    ("/api/models/{name}/channels/{channel}", "get"),
    ("/api/models/{name}/channels/{channel}", "put"),
    ("/api/models/{name}/channels/{channel}/history", "get"),
    ("/api/models/{name}/channels/{channel}/rollback", "post"),
    ("/api/models/{name}/history", "get"),
    ("/api/models/{name}/rollouts", "get"),
    ("/api/models/{name}/rollouts/{rollout_id}", "get"),
    ("/api/models/{name}/versions", "get"),
    ("/api/models/{name}/versions/{version}", "delete"),
    ("/api/models/{name}/versions/{version}", "get"),
    ("/api/models/{name}/versions/{version}/report", "get"),
    ("/api/models/{name}/versions/{version}/restore", "post"),
    ("/api/personas", "get"),
    ("/api/personas", "post"),
    ("/api/personas/classifiers", "get"),
    ("/api/personas/classifiers/{model}/promise", "put"),
    ("/api/personas/classifiers/{model}/{version}/promise", "get"),
    ("/api/personas/{number}", "delete"),
    ("/api/personas/{number}/export.jsonl", "get"),
    ("/api/personas/{number}/faces", "get"),
    ("/api/personas/{number}/merge", "post"),
    ("/api/personas/{number}/name", "put"),
    ("/api/personas/{number}/split", "post"),
    ("/api/scans", "get"),
    ("/api/scans", "post"),
    ("/api/scans/{scan_id}", "delete"),
    ("/api/scans/{scan_id}", "get"),
    ("/events/s3", "post"),
    ("/livez", "get"),
    ("/metrics", "get"),
    ("/readyz", "get"),
]

TAKES_ANYTHING = [
    ("/api/faces/groups", "get"),
    ("/api/personas", "get"),
    ("/api/personas/classifiers", "get"),
    ("/api/label-sets", "get"),
    ("/api/label-sets/{name}", "get"),
    ("/api/labels/{name}", "get"),
    # What buckets send has no schema of ours.
    ("/events/s3", "post"),
    ("/api/stats", "get"),
    ("/api/results", "get"),
    ("/api/results.csv", "get"),
    ("/api/keys", "get"),
    ("/api/models", "get"),
    ("/api/models/{name}", "get"),
    ("/api/models/{name}/channels", "get"),
    ("/api/models/{name}/channels/{channel}", "get"),
    ("/api/models/{name}/versions", "get"),
    ("/api/models/{name}/versions/{version}/report", "get"),
    ("/api/models/{name}/versions/{version}", "get"),
    ("/livez", "get"),
    ("/metrics", "get"),
    ("/readyz", "get"),
]


KEY = new_key()
WITH_KEY = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document, bound to an app that has the small models and no job, and asks for a key."""
    folder: Path = tmp_path_factory.mktemp("openapi")
    write_table_model(folder / "store")
    write_image_model(folder / "store")
    parts = build_parts(
        read_settings(
            {
                "DATABASE_URL": f"sqlite:///{folder / 'db'}",
                "MODEL_STORE": str(folder / "store"),
                "API_KEYS": KEY,
                "PERSONAS": "on",
            }
        )
    )
    parts.database.migrate()
    yield schemathesis.openapi.from_wsgi("/openapi.json", create_app(parts), headers=WITH_KEY)
    parts.database.close()


def test_the_document_describes_every_operation(schema: Any) -> None:
    found = {(path, method) for path, methods in schema.raw_schema["paths"].items() for method in methods}

    assert found == set(OPERATIONS)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_what_the_document_allows_is_answered_as_it_says(schema: Any, path: str, method: str) -> None:
    # What a file may hold is more than a schema can say: a text that is no table fits the document and is refused.
    excluded: list[Any] = [positive_data_acceptance]
    if path == "/readyz":
        # There is no worker here, and to say so is what 503 is documented for.
        excluded.append(not_a_server_error)
    ask(schema[path][method.upper()], GenerationMode.POSITIVE, excluded_checks=excluded)


@pytest.mark.parametrize(("path", "method"), [each for each in OPERATIONS if each not in TAKES_ANYTHING])
def test_what_the_document_forbids_is_refused_as_it_says(schema: Any, path: str, method: str) -> None:
    ask(schema[path][method.upper()], GenerationMode.NEGATIVE)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_what_needs_a_key_says_so_and_is_refused_without(schema: Any, path: str, method: str) -> None:
    operation = schema[path][method.upper()]
    is_open = "security" not in schema.raw_schema["paths"][path][method]

    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    @settings(max_examples=3, database=None, suppress_health_check=list(HealthCheck))
    def send(case: Any) -> None:
        assert (case.call(headers={}).status_code == 401) is not is_open

    send()


def ask(operation: Any, mode: GenerationMode, **options: Any) -> None:
    """Send generated requests and hold each answer against the document."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=30, database=None, suppress_health_check=list(HealthCheck))
    def send(case: Any) -> None:
        case.call_and_validate(headers=WITH_KEY, **options)

    send()
