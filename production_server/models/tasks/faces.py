"""Faces: where they are in a picture, how well each is to be seen, and the numbers that tell people apart."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from production_server.models.tasks.task import Box, Prediction, Shown, Task
from production_server.models.tensors import Tensors

NEEDED = {"count", "boxes", "landmarks", "scores", "sides", "sharpness", "embeddings"}
NO_FACE = "no face"
"""The answer for a picture without one: a result as any other."""


class Faces(Task):
    """Finds faces. A picture's answer is how many, its score that of the surest one."""

    answers = "the faces in a picture"
    pads = True

    def check_manifest(self) -> None:
        missing = NEEDED - {spec.name for spec in self.manifest.outputs}
        if missing:
            raise ValueError(f"outputs: expected also {', '.join(sorted(missing))}")
        if self.manifest.labels:
            raise ValueError("labels: expected none: how many faces there are is the answer")

    def predict(self, outputs: Tensors) -> list[Prediction]:
        return [
            _prediction({name: values[place, :count] for name, values in outputs.items() if name != "count"})
            for place, count in enumerate(outputs["count"])
        ]

    def show(self, prediction: Prediction) -> Shown:
        return Shown(prediction.label or NO_FACE, prediction.score)

    def numbers(self, prediction: Prediction) -> dict[str, Any]:
        return {"faces": list(prediction.output)}

    def values(self, prediction: Prediction) -> list[tuple[str, str]]:
        return [(f"face {place}", _told(face)) for place, face in enumerate(prediction.output, 1)]

    def boxes(self, prediction: Prediction) -> list[Box]:
        return [tuple(face["box"]) for face in prediction.output]

    def columns(self) -> list[str]:
        return ["faces"]

    def cells(self, prediction: Prediction) -> list[object]:
        return [len(prediction.output)]


def _told(face: dict[str, Any]) -> str:
    left, top, right, bottom = (f"{share:.1%}" for share in face["box"])
    return (
        f"{face['score']:.1%} sure, {face['side']} pixels, sharpness {face['sharpness']}\n"
        f"from {left} left, {top} top to {right}, {bottom}"
    )


def embedding_of(face: dict[str, Any]) -> np.ndarray:
    """The numbers that a face is told apart by, as `predict` stored them: float32 [128], of length 1."""
    return np.frombuffer(base64.b64decode(face["embedding"]), "<f4")


def _prediction(found: Tensors) -> Prediction:
    faces: tuple[dict[str, Any], ...] = tuple(
        {
            "box": _shares(found["boxes"][place]),
            "landmarks": [_shares(each) for each in found["landmarks"][place]],
            "score": round(float(found["scores"][place]), 4),
            "side": round(float(found["sides"][place])),
            "sharpness": round(float(found["sharpness"][place]), 1),
            "embedding": base64.b64encode(found["embeddings"][place].astype("<f4").tobytes()).decode(),
        }
        for place in range(len(found["scores"]))
    )
    if not faces:
        return Prediction(NO_FACE, None, ())
    label = "1 face" if len(faces) == 1 else f"{len(faces)} faces"
    return Prediction(label, faces[0]["score"], faces)


def _shares(values: np.ndarray) -> list[float]:
    return [round(float(each), 4) for each in values]
