"""Clients of others at a service with keys: each sends one in the way that it knows."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.http.auth import BasicAuth
from tritonclient.utils import InferenceServerException

from production_server.access.key_text import new_key
from testing.celeriac import Celeriac, celeriac
from testing.event_loop import run_apart

KEY, READER = new_key(), new_key()
# Tritons client adds its own to those that it is given.
BEARER = {"Authorization": f"Bearer {KEY}"}
ROW = [6, 148, 72, 35, 0, 33.6, 0.627, 50]
LABELS = [b"diabetes", b"no diabetes"]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    keys = f"{KEY} anna predict read\n{READER} bert read"
    with celeriac(tmp_path_factory.mktemp("locked"), API_KEYS=keys) as service:
        yield service


def row() -> triton.InferInput:
    given = triton.InferInput("features", [1, 8], "FP32")
    given.set_data_from_numpy(np.array([ROW], np.float32))
    return given


def test_tritons_client_sends_it_as_a_header_with_each_request(locked: Celeriac) -> None:
    with triton.InferenceServerClient(locked.url.removeprefix("http://")) as client:
        assert client.is_server_ready()
        assert client.is_model_ready("diabetes", headers=dict(BEARER))
        answer = client.infer("diabetes", [row()], headers=dict(BEARER))
        with pytest.raises(InferenceServerException) as without:
            client.infer("diabetes", [row()])
        with pytest.raises(InferenceServerException, match="scope predict"):
            client.infer("diabetes", [row()], headers={"X-API-Key": READER})

    assert answer.as_numpy("label")[0] in LABELS
    assert "a key is needed" in str(without.value)


def test_tritons_client_sends_it_by_its_plugin_for_logins(locked: Celeriac) -> None:
    with triton.InferenceServerClient(locked.url.removeprefix("http://")) as client:
        client.register_plugin(BasicAuth("anna", KEY))

        assert client.infer("diabetes", [row()]).as_numpy("label")[0] in LABELS
        assert client.get_model_metadata("diabetes")["name"] == "diabetes"


def test_tritons_client_for_event_loops_sends_it(locked: Celeriac) -> None:
    async def ask() -> Any:
        async with triton_aio.InferenceServerClient(locked.url.removeprefix("http://")) as client:
            return await client.infer("diabetes", [row()], headers=dict(BEARER))

    assert run_apart(asyncio.wait_for(ask(), 60)).as_numpy("label")[0] in LABELS


@pytest.mark.parametrize("how", [{"headers": BEARER}, {"auth": ("", KEY)}, {"auth": (KEY, "")}])
def test_what_asks_tensorflow_serving_with_requests_sends_it(locked: Celeriac, how: dict[str, Any]) -> None:
    url = f"{locked.url}/v1/models/diabetes"

    answer = requests.post(f"{url}:predict", data=json.dumps({"instances": [ROW]}), timeout=60, **how)
    status = requests.get(url, timeout=60, **how)

    assert sum(answer.json()["predictions"][0]) == pytest.approx(1)
    assert status.json()["model_version_status"][0]["state"] == "AVAILABLE"


def test_what_asks_tensorflow_serving_with_urllib_sends_it(locked: Celeriac) -> None:
    asked = urllib.request.Request(
        f"{locked.url}/v1/models/diabetes:predict", json.dumps({"instances": [ROW]}).encode(), BEARER
    )

    with urllib.request.urlopen(asked, timeout=60) as answer:
        assert "predictions" in json.load(answer)


def test_whoever_has_none_is_told_in_the_protocols_own_form(locked: Celeriac) -> None:
    answer = requests.post(f"{locked.url}/v1/models/diabetes:predict", json={"instances": [ROW]}, timeout=60)

    assert (answer.status_code, "a key is needed" in answer.json()["error"]) == (401, True)
