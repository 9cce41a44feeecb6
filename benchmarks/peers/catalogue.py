"""Who is compared: how each is asked, and where its answer has the probabilities."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import calls
from benchmarks.inputs import flat
from benchmarks.load import Call

OURS = "Celeriac"


@dataclass(frozen=True)
class Peer:
    """A server other than ours; `key` names its environment, its requirements and its module."""

    key: str
    name: str
    packages: tuple[str, ...]
    call: Callable[[str, str], Call]
    probabilities: Callable[[Any], list[float]]
    needs_broker: bool = False


# Where a peer's form is its author's choice, an image is a flat list: lists in lists cost more to read and to pass on.
def _body(path: str, key: str, *, is_batch: bool = False) -> Callable[[str, str], Call]:
    def call(url: str, model: str) -> Call:
        item = flat(model)
        return Call(url + path, json.dumps({key: [item] if is_batch else item}).encode(), calls.JSON)

    return call


PEERS = (
    Peer("litserve", "LitServe", ("litserve",), _body("/predict", "input"), lambda answer: answer["output"]),
    Peer("mlserver", "MLServer", ("mlserver",), calls.tensor_in_json, calls.probabilities),
    Peer(
        "bentoml",
        "BentoML",
        ("bentoml",),
        _body("/predict", "items", is_batch=True),
        lambda answer: answer[0],
    ),
    Peer("ray", "Ray Serve", ("ray",), _body("/", "input"), lambda answer: answer),
    Peer(
        "flask_celery",
        "Flask + Celery rpc://",
        ("flask", "celery", "gunicorn"),
        _body("/predict", "input"),
        lambda a: a["output"],
        needs_broker=True,
    ),
)
