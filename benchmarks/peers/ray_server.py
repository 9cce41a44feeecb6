"""Ray Serve: python -m benchmarks.peers.ray_server."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

# Ray reads them when it is imported. The first two are its documentation's for high throughput; the third is because
# its workers are nice by 15 to everyone else on the machine, which here would be the load generator.
for _name, _value in (
    ("RAY_SERVE_THROUGHPUT_OPTIMIZED", "1"),
    ("RAY_SERVE_ENABLE_HA_PROXY", "1"),
    ("RAY_worker_niceness", "0"),
):
    os.environ.setdefault(_name, _value)

import numpy as np
import ray
from ray import serve
from ray.serve.config import HTTPOptions
from starlette.requests import Request

from benchmarks.peers.given import given, run

GIVEN = given(
    max_batch_size=32,
    batch_wait_timeout_s=0.001,
    replicas=1,
    max_concurrent_batches=1,
    max_ongoing_requests=512,
)
SETTINGS = GIVEN.settings


@serve.deployment(
    num_replicas=SETTINGS["replicas"],
    max_ongoing_requests=SETTINGS["max_ongoing_requests"],
    ray_actor_options={"num_cpus": 1},
)
class Model:
    """One model behind `/`."""

    def __init__(self, told: Any) -> None:
        self.engine = told.session()

    @serve.batch(
        max_batch_size=SETTINGS["max_batch_size"],
        batch_wait_timeout_s=SETTINGS["batch_wait_timeout_s"],
        max_concurrent_batches=SETTINGS["max_concurrent_batches"],
    )
    async def predict(self, items: list[np.ndarray]) -> list[list[float]]:
        output: list[list[float]] = run(self.engine, np.stack(items)).tolist()
        return output

    async def __call__(self, request: Request) -> list[float]:
        item = np.asarray((await request.json())["input"], np.float32).reshape(GIVEN.shape)
        answer: list[float] = await self.predict(item)
        return answer


if __name__ == "__main__":
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, _temp_dir=str(Path.cwd()))
    serve.start(
        http_options=HTTPOptions(host="127.0.0.1", port=GIVEN.port),
        logging_config={"enable_access_log": False},
    )
    serve.run(Model.bind(GIVEN), name="model", route_prefix="/")
    signal.pause()
