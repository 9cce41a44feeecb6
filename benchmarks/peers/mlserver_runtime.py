"""What MLServer loads: a custom inference runtime."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.peers.given import given, run

BEST = {"max_batch_size": 32, "max_batch_time_s": 0.001, "workers": 0, "grpc_port": 0, "metrics_port": 0}


class Runtime(MLModel):
    """One model; MLServer makes the batches and takes them apart."""

    async def load(self) -> bool:
        self._engine = given(**BEST).session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        batch = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("probabilities", run(self._engine, batch))
        return InferenceResponse(model_name=self.name, outputs=[output])
