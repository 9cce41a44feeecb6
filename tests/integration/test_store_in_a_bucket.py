"""Machines that share a store of models in a bucket: one imports, all serve; and they serve on without it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from testing.celeriac import Celeriac, celeriac
from testing.foreign_graphs import FOREIGN_MODELS
from testing.model_buckets import new_bucket, publish, remote_store_at
from testing.processes import wait_until
from testing.s3 import S3, s3_store
from testing.small_models import write_image_model

ROW = [5.1, 3.5, 1.4, 0.2]


@pytest.fixture
def store() -> Iterator[S3]:
    with s3_store() as running:
        yield running


@pytest.fixture
def machines(store: S3, tmp_path: Path) -> Iterator[tuple[Celeriac, Celeriac]]:
    url = new_bucket(store)
    folders = [tmp_path / name for name in ("a", "b")]
    for each in folders:
        each.mkdir()
    with (
        celeriac(folders[0], MODEL_STORE=url, **store.environ) as first,
        celeriac(folders[1], MODEL_STORE=url, **store.environ) as second,
    ):
        yield first, second


def numbers(machine: Celeriac) -> list[str]:
    answer = httpx.get(f"{machine.url}/api/models/mine/versions")
    return [each["version"] for each in answer.json()["versions"]] if answer.status_code == 200 else []


def import_file(machine: Celeriac, file: Path) -> str:
    """The id of an import that was accepted."""
    with file.open("rb") as content:
        answer = httpx.post(
            f"{machine.url}/api/models",
            data={"name": "mine", "labels": "setosa,versicolor,virginica"},
            files={"file": ("model.onnx", content)},
            timeout=60,
        )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def state(machine: Celeriac, import_id: str) -> dict[str, str]:
    found: dict[str, str] = httpx.get(f"{machine.url}/api/imports/{import_id}").json()
    return found


def wait_for_import(machine: Celeriac, import_id: str) -> dict[str, str]:
    wait_until(
        lambda: state(machine, import_id)["state"] in {"succeeded", "failed"},
        what="the import",
        timeout_s=120,
    )
    return state(machine, import_id)


def test_what_one_machine_imports_another_one_serves_also_without_the_bucket(
    store: S3, machines: tuple[Celeriac, Celeriac]
) -> None:
    first, second = machines
    file = FOREIGN_MODELS / "iris_columns.onnx"

    made = wait_for_import(first, import_file(first, file))
    assert made["state"] == "succeeded", made
    began = time.monotonic()
    wait_until(lambda: numbers(second) == ["1"], what="the version on the other machine", timeout_s=15)
    assert time.monotonic() - began < 10

    with store.away():
        for machine in machines:
            wait_until(
                lambda machine=machine: "is out of reach" in ready(machine)["checks"]["models"]["detail"],  # type: ignore[misc]
                what="readyz to tell it",
            )
            assert httpx.get(f"{machine.url}/readyz").status_code == 200
            assert numbers(machine) == ["1"]
            answer = httpx.post(
                f"{machine.url}/v1/models/mine:predict", json={"instances": [ROW]}, timeout=20
            )
            assert answer.status_code == 200, answer.text
        with file.open("rb") as content:
            refused = httpx.post(
                f"{first.url}/api/models",
                data={"name": "mine"},
                files={"file": ("m.onnx", content)},
                timeout=60,
            )
        assert refused.status_code == 507, refused.text
        assert refused.json()["code"] == "store_not_writable"

    again = wait_for_import(second, import_file(second, file))
    assert again["state"] == "succeeded", again
    wait_until(lambda: sorted(numbers(first)) == ["1", "2"], what="the next version", timeout_s=15)


def test_a_machine_that_is_new_is_ready_once_it_has_what_there_is(store: S3, tmp_path: Path) -> None:
    url = new_bucket(store)
    publish(remote_store_at(url), tmp_path / "elsewhere", tmp_path, write_image_model)
    (tmp_path / "events.yaml").write_text("rules:\n  - {bucket: photos, model: picture}\n")

    with celeriac(
        tmp_path,
        MODEL_STORE=url,
        STORAGE_ALLOW="s3://photos",
        EVENTS_FILE=str(tmp_path / "events.yaml"),
        EVENTS_TOKEN="0123456789abcdef",
        **store.environ,
    ) as machine:
        assert "picture" in machine.web.get("/v2/models/picture").text
        assert "version picture/1 of the store of models is here now" in machine.log


def ready(machine: Celeriac) -> dict[str, dict[str, dict[str, str]]]:
    answer: dict[str, dict[str, dict[str, str]]] = httpx.get(f"{machine.url}/readyz", timeout=20).json()
    return answer
