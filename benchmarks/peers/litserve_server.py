"""LitServe: python -m benchmarks.peers.litserve_server."""

from typing import Any

import litserve
import numpy as np

from benchmarks.peers.given import given, run

GIVEN = given(
    max_batch_size=8, batch_timeout_s=0.001, workers=1, api_servers=2, fast_queue=True, threads=False
)


class Api(litserve.LitAPI):
    """One model behind `/predict`."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        self.engine = GIVEN.session()

    # LitServe reads this signature: a type that it does not know would become a query parameter.
    def decode_request(self, request) -> np.ndarray:
        return np.asarray(request["input"], np.float32).reshape(GIVEN.shape)

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, batch: np.ndarray) -> np.ndarray:
        if GIVEN.settings["max_batch_size"] == 1:
            return run(self.engine, batch[None])[0]
        return run(self.engine, batch)

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {"output": output.tolist()}


if __name__ == "__main__":
    settings = GIVEN.settings
    api = Api(max_batch_size=settings["max_batch_size"], batch_timeout=settings["batch_timeout_s"])
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=settings["workers"], fast_queue=settings["fast_queue"]
    )
    server.run(
        host="127.0.0.1",
        port=GIVEN.port,
        num_api_servers=settings["api_servers"],
        api_server_worker_type="thread" if settings["threads"] else "process",
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
