"""Who is compared: how each is asked, and where its answer has the probabilities."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks import calls
from benchmarks.inputs import flat
from benchmarks.load import Call

OURS, EMBEDDED = "Celeriac", "Celeriac, embedded"
"""Over RabbitMQ, and in one process."""
OWN = {"ours": OURS, "embedded": EMBEDDED}


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A server other than ours; `server` names its environment, its requirements and its module."""

    key: str
    server: str
    name: str
    packages: tuple[str, ...]
    call: Callable[[str, str], Call]
    probabilities: Callable[[Any], list[float]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the server's best for many connections."""
    needs_broker: bool = False


# Where a peer's form is its author's choice, an image is a flat list: lists in lists cost more to read and to pass on.
def _body(path: str, key: str, *, is_batch: bool = False) -> Callable[[str, str], Call]:
    def call(url: str, model: str) -> Call:
        item = flat(model)
        return Call(url + path, json.dumps({key: [item] if is_batch else item}).encode(), calls.JSON)

    return call


LITSERVE = Peer(
    key="litserve",
    server="litserve",
    name="LitServe",
    packages=("litserve",),
    call=_body("/predict", "input"),
    probabilities=lambda answer: answer["output"],
)
MLSERVER = Peer(
    key="mlserver",
    server="mlserver",
    name="MLServer",
    packages=("mlserver",),
    call=calls.tensor_in_json,
    probabilities=calls.probabilities,
)
BENTOML = Peer(
    key="bentoml",
    server="bentoml",
    name="BentoML",
    packages=("bentoml",),
    call=_body("/predict", "items", is_batch=True),
    probabilities=lambda answer: answer[0],
)
RAY = Peer(
    key="ray",
    server="ray",
    name="Ray Serve",
    packages=("ray",),
    call=_body("/", "input"),
    probabilities=lambda answer: answer,
)
FLASK_CELERY = Peer(
    key="flask_celery",
    server="flask_celery",
    name="Flask + Celery rpc://",
    packages=("flask", "celery", "gunicorn"),
    call=_body("/predict", "input"),
    probabilities=lambda answer: answer["output"],
    needs_broker=True,
)
PEERS = (
    LITSERVE,
    replace(
        LITSERVE,
        key="litserve_single",
        name="LitServe, no batches",
        settings={"max_batch_size": 1, "api_servers": 1},
    ),
    MLSERVER,
    replace(MLSERVER, key="mlserver_single", name="MLServer, no batches", settings={"max_batch_size": 0}),
    BENTOML,
    RAY,
    replace(RAY, key="ray_single", name="Ray Serve, no batches", settings={"max_batch_size": 1}),
    FLASK_CELERY,
)
