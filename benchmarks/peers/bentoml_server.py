"""BentoML: python -m benchmarks.peers.bentoml_server becomes `bentoml serve`, which loads the service from here."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType, Shape

from benchmarks.peers.given import given, run

GIVEN = given(max_batch_size=32, max_latency_ms=1000, workers=2, is_async=True, is_batched=False)
SETTINGS = GIVEN.settings
Items = Annotated[np.ndarray, Shape((-1, math.prod(GIVEN.shape))), DType("float32")]
BATCHING = {name: SETTINGS[name] for name in ("max_batch_size", "max_latency_ms")}


@bentoml.service(
    workers=SETTINGS["workers"], metrics={"enabled": False}, logging={"access": {"enabled": False}}
)
class Service:
    """One model behind `/predict`: items in, probabilities out."""

    def __init__(self) -> None:
        self.engine = GIVEN.session()

    if SETTINGS["is_async"]:

        @bentoml.api(batchable=SETTINGS["is_batched"], **BATCHING)
        async def predict(self, items: Items) -> np.ndarray:
            return run(self.engine, items.reshape(-1, *GIVEN.shape))

    else:

        @bentoml.api(batchable=SETTINGS["is_batched"], **BATCHING)
        def predict(self, items: Items) -> np.ndarray:
            return run(self.engine, items.reshape(-1, *GIVEN.shape))


if __name__ == "__main__":
    program = Path(sys.executable).with_name("bentoml")
    target = "benchmarks.peers.bentoml_server:Service"
    os.execv(program, [str(program), "serve", target, "--host", "127.0.0.1", "--port", str(GIVEN.port)])
