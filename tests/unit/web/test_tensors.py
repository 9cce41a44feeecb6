"""A model of tensors: several inputs and outputs of any dtype, by both protocols, in jobs and on the pages."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from numpy.lib import format as npy
from onnx import TensorProto, helper

from production_server.broker.calls import Reply
from production_server.errors import InvalidInput
from production_server.inference import Engine
from production_server.models.manifest import Manifest
from production_server.models.registry import Registry
from production_server.settings import Settings
from production_server.web.edge.parts import WebParts, build_parts
from production_server.web.edge.problems import status_of
from production_server.web.interactive.open_inference import OpenInference
from production_server.web.interactive.protocol import HttpRequest
from production_server.web.interactive.tensorflow_serving import TensorFlowServing

SPECS: dict[str, list[dict[str, Any]]] = {
    "inputs": [
        {"name": "series", "shape": [None, None], "dtype": "float64"},
        {"name": "count", "shape": [None], "dtype": "int64"},
        {"name": "word", "shape": [None, 1], "dtype": "string"},
    ],
    "outputs": [
        {"name": "doubled", "shape": [None, None], "dtype": "float64"},
        {"name": "more", "shape": [None], "dtype": "int64"},
        {"name": "echo", "shape": [None, 1], "dtype": "string"},
    ],
}
TYPES = {"float64": TensorProto.DOUBLE, "int64": TensorProto.INT64, "string": TensorProto.STRING}
ITEM = {"series": [1.5, 2, 3], "count": 4, "word": ["née"]}
ANSWER = {"doubled": [3.0, 4.0, 6.0], "more": 5, "echo": ["née"]}


def write_model(store: Path) -> None:
    """Doubles a series of any length, counts on by one, and repeats a word."""
    inputs, outputs = (
        [
            helper.make_tensor_value_info(
                each["name"],
                TYPES[each["dtype"]],
                ["batch", *(size or "length" for size in each["shape"][1:])],
            )
            for each in SPECS[side]
        ]
        for side in ("inputs", "outputs")
    )
    nodes = [
        helper.make_node("Add", ["series", "series"], ["doubled"]),
        helper.make_node("Add", ["count", "one"], ["more"]),
        helper.make_node("Identity", ["word"], ["echo"]),
    ]
    one = helper.make_tensor("one", TensorProto.INT64, [], [1])
    graph = helper.make_graph(nodes, "mixed", inputs, outputs, [one])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = model.SerializeToString()
    folder = store / "mixed" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(data)
    digest = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    told = {"schema": 1, "name": "mixed", "version": "1", "title": "Mixed", "created": "2026-11-30T10:00:00Z",
            "task": "tensors", "metrics": None, "training_data": [], "code_revision": None, "parity": None,
            "files": {"model.onnx": digest}}  # fmt: skip
    (folder / "manifest.json").write_text(Manifest.model_validate(told | SPECS).to_json())


@pytest.fixture
def small_registry(tmp_path: Path) -> Registry:
    """The worker's, too."""
    write_model(tmp_path / "store")
    return Registry([tmp_path / "store"])


@pytest.fixture
def parts(
    settings: Settings, small_registry: Registry, furnish: Callable[[Settings], None]
) -> Iterator[WebParts]:
    furnish(settings)
    parts = replace(build_parts(settings), registry=small_registry)
    yield parts
    parts.database.close()


def asked(registry: Registry, protocol: type[OpenInference | TensorFlowServing], path: str, body: Any) -> Any:
    """What a protocol answers to a body that a real engine runs."""
    speaker = protocol(registry, status_of)
    ask = speaker.read(HttpRequest("POST", path, {}, json.dumps(body).encode()))
    outputs = Engine(registry, threads=1).run("mixed", "1", ask.inputs, max_pixels=1)
    assert not outputs.errors
    return json.loads(speaker.write(ask, Reply(outputs.values, {}, None, 0.0, "w")).body)


def v2_inputs(**changes: Any) -> dict[str, Any]:
    inputs = [
        {"name": "word", "shape": [2, 1], "datatype": "BYTES", "data": ["a", "b"]},
        {"name": "series", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]},
        {"name": "count", "shape": [2], "datatype": "INT64", "data": [1, 2**62]},
    ]
    return {"inputs": [each | changes.get(str(each["name"]), {}) for each in inputs]}


def test_the_open_inference_protocol_takes_and_gives_all_tensors_by_name(small_registry: Registry) -> None:
    told = asked(small_registry, OpenInference, "/v2/models/mixed/infer", v2_inputs())

    assert {each["name"]: (each["datatype"], each["shape"], each["data"]) for each in told["outputs"]} == {
        "doubled": ("FP64", [2, 2], [2, 4, 6, 8]),
        "more": ("INT64", [2], [2, 2**62 + 1]),
        "echo": ("BYTES", [2, 1], ["a", "b"]),
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"series": {"datatype": "FP32"}}, r"inputs\[1\] \(series\).datatype: expected FP64"),
        ({"series": {"shape": [4]}}, r"shape: expected \[items, any\], got \[4\]"),
        (
            {"count": {"shape": [1], "data": [1]}},
            "expected one number of items, got word 2, series 2, count 1",
        ),
        ({"count": {"data": [1, 2**63]}}, "whole numbers from -9223372036854775808"),
        ({"count": {"data": [True, 1]}}, "expected 2 numbers, got"),
        ({"word": {"data": ["a", 1]}}, "expected 2 texts, got"),
        ({"word": {"name": "other"}}, "inputs: expected series, count, word, got other, series, count"),
    ],
)
def test_what_the_inputs_cannot_be_is_named(
    small_registry: Registry, changes: Mapping[str, Any], expected: str
) -> None:
    with pytest.raises(InvalidInput, match=expected):
        asked(small_registry, OpenInference, "/v2/models/mixed/infer", v2_inputs(**changes))


def test_tensorflow_serving_has_them_in_rows_and_columns(small_registry: Registry) -> None:
    path = "/v1/models/mixed:predict"
    named = {"series": [[1], [2]], "count": [1, 2], "word": [[{"b64": "YQ=="}], ["b"]]}

    rows = asked(small_registry, TensorFlowServing, path, {"instances": [ITEM, ITEM]})
    columns = asked(small_registry, TensorFlowServing, path, {"inputs": named})

    assert rows == {"predictions": [ANSWER, ANSWER]}
    assert columns == {"outputs": {"doubled": [[2], [4]], "more": [2, 3], "echo": [["a"], ["b"]]}}


def test_a_job_of_items_of_different_lengths_is_answered_in_order(web: FlaskClient, work: Any) -> None:
    items = [ITEM, {"series": [1], "count": 0, "word": [""]}, ITEM | {"count": 7}]
    job = web.post("/api/jobs", json={"model": "mixed", "inputs": items}).get_json()
    work(job)

    results = web.get(job["links"]["results"]).get_json()["results"]

    assert [each["output"] for each in results] == [
        ANSWER, {"doubled": [2.0], "more": 1, "echo": [""]}, ANSWER | {"more": 8},
    ]  # fmt: skip
    page = web.get(job["links"]["page"]).get_data(as_text=True)
    assert "doubled [3], more 5, echo née" in page and "[3.0,4.0,6.0]" in page
    table = web.get(job["links"]["results_csv"]).get_data(as_text=True).splitlines()
    assert table[1] == '0,,succeeded,,,"[3.0,4.0,6.0]",5,née,,,,'


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def submit_file(web: FlaskClient, data: bytes) -> Any:
    return web.post("/api/jobs", data={"model": "mixed", "file": (io.BytesIO(data), "many.npz")})


def test_a_file_of_arrays_has_many_items(web: FlaskClient, work: Any) -> None:
    data = npz(series=np.arange(6.0).reshape(3, 2), count=np.arange(3), word=np.array([["a"], ["b"], ["c"]]))
    job = submit_file(web, data).get_json()
    work(job)

    results = web.get(job["links"]["results"]).get_json()["results"]

    assert [(each["name"], each["output"]["more"], each["output"]["echo"]) for each in results] == [
        ("many.npz[0]", 1, ["a"]), ("many.npz[1]", 2, ["b"]), ("many.npz[2]", 3, ["c"]),
    ]  # fmt: skip


GOOD = {"series": np.ones((2, 2)), "count": np.ones(2, int), "word": np.array([["a"], ["b"]])}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "an empty file"),
        (b"hello", "a file that begins with"),
        (npz(**GOOD)[:-30], "a damaged one"),
        (npz(series=1.0), "the arrays series, count, word"),
        (npz(**GOOD | {"count": np.array([1, "a"], object)}), "numbers, booleans or texts"),
        (npz(**GOOD | {"count": np.ones(3, int)}), "of one number of items"),
        (npz(**GOOD | {"count": np.array([1.5, 2])}), "int64"),
        (npz(**GOOD | {"series": np.ones((2, 2, 2))}), "[items, any]"),
        (npz(**GOOD | {"series": np.full((2, 2), np.nan)}), "a finite number"),
        (npz(**GOOD | {"word": np.ones((2, 1))}), "texts"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_fault(
    web: FlaskClient, data: bytes, expected: str
) -> None:
    answer = submit_file(web, data)

    assert answer.status_code == 400
    assert expected in answer.get_json()["detail"]


def test_a_file_whose_header_says_more_than_it_holds_makes_no_room_for_it(web: FlaskClient) -> None:
    member = io.BytesIO()
    npy.write_array_header_1_0(member, {"descr": "<i8", "fortran_order": False, "shape": (2**40,)})
    file = io.BytesIO(npz(series=GOOD["series"], word=GOOD["word"]))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("count.npy", member.getvalue() + bytes(16))

    answer = submit_file(web, file.getvalue())

    assert answer.status_code == 400
    assert "8796093022208 bytes for int64 [1099511627776], got 16 bytes" in answer.get_json()["detail"]


def test_the_page_says_what_it_takes_and_the_card_what_comes_out(web: FlaskClient) -> None:
    form = web.get("/predictions?model=mixed").get_data(as_text=True)
    card = web.get("/models/mixed").get_data(as_text=True)

    assert "float64" in form and "any" in form and "series" in form
    assert "Nobody has measured it." in card and "What comes out" in card


def test_the_page_takes_json(web: FlaskClient) -> None:
    def sent(text: str) -> Any:
        return web.post("/predictions?model=mixed", data={"kind": "tensors", "tensors": text})

    refused = sent("[{]")

    assert sent(json.dumps(ITEM)).status_code == 303
    assert refused.status_code == 400 and "Nothing was sent" in refused.get_data(as_text=True)
