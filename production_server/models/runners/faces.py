"""The faces runner: four nets on ONNX Runtime and what is between them; pictures in, their faces out."""

from __future__ import annotations

import numpy as np

from production_server.errors import InferenceFailed
from production_server.models.faces.alignment import cuts, sharpness
from production_server.models.faces.detection import Detector, Faces, Net
from production_server.models.manifest import TensorSpec
from production_server.models.runners.onnx import open_session
from production_server.models.store import ModelVersion
from production_server.models.tensors import Tensors, only

PICTURE = TensorSpec(name="picture", shape=(None, None, None, 3), dtype="uint8")
OUTPUTS = (
    TensorSpec(name="count", shape=(None,), dtype="int64"),
    TensorSpec(name="boxes", shape=(None, None, 4), dtype="float32"),
    TensorSpec(name="landmarks", shape=(None, None, 5, 2), dtype="float32"),
    TensorSpec(name="scores", shape=(None, None), dtype="float32"),
    TensorSpec(name="sides", shape=(None, None), dtype="float32"),
    TensorSpec(name="sharpness", shape=(None, None), dtype="float32"),
    TensorSpec(name="embeddings", shape=(None, None, 128), dtype="float32"),
)
"""Of each picture the first `count` places are its faces, best first; those behind are zeros.

`boxes` (left, top, right, bottom) and `landmarks` are shares of the picture's width and height; `sides` are the greater
sides of the boxes in pixels of the picture as the runner has it; `embeddings` have the length 1.
"""
FILES = ("proposal.onnx", "refinement.onnx", "output.onnx", "embedding.onnx")
AT_ONCE = 32
"""Faces that are embedded together: in larger batches none is quicker."""


class FacesRunner:
    """Finds faces and embeds them. Safe to call from several threads."""

    def __init__(self, nets: list[Net]) -> None:
        *finding, self._embedding = nets
        self._detector = Detector(*finding)

    def run(self, batch: Tensors) -> Tensors:
        try:
            found = [self._faces_of(picture) for picture in only(batch)]
        # ONNX Runtime's errors share no base class below Exception.
        except Exception as exc:
            raise InferenceFailed(f"the model failed on a batch of {len(only(batch))}: {exc}") from exc
        most = max(len(each["scores"]) for each in found)
        counts = np.array([len(each["scores"]) for each in found], np.int64)
        return {"count": counts} | {
            spec.name: np.stack([_padded(each[spec.name], most) for each in found]) for spec in OUTPUTS[1:]
        }

    def close(self) -> None:
        del self._detector, self._embedding

    def _faces_of(self, pixels: np.ndarray) -> Tensors:
        """The outputs for one picture, [faces, …]."""
        faces = self._detector.find(pixels)
        cut_out = cuts(pixels, faces.landmarks)
        size = np.array(pixels.shape[1::-1], np.float32)
        return {
            "boxes": faces.boxes / np.tile(size, 2),
            "landmarks": faces.landmarks / size,
            "scores": faces.scores,
            "sides": _sides(faces),
            "sharpness": np.array([sharpness(each) for each in cut_out], np.float32),
            "embeddings": self._embedded(cut_out),
        }

    def _embedded(self, faces: list[np.ndarray]) -> np.ndarray:
        """float32 [faces, 128]: the mean of a face's and its mirror image's, of length 1."""
        told = [np.empty((0, 128), np.float32)]
        for start in range(0, len(faces), AT_ONCE):
            some = np.stack(faces[start : start + AT_ONCE]).astype(np.float32)
            (both,) = self._embedding(np.concatenate([some, some[:, :, ::-1]]))
            mean = both[: len(some)] + both[len(some) :]
            told.append(mean / np.linalg.norm(mean, axis=1, keepdims=True))
        return np.concatenate(told)


def load(version: ModelVersion, *, threads: int) -> FacesRunner:
    """Load a version's four nets with `threads` threads inside one call.

    Raises:
        BrokenVersion: a file does not match the manifest, or cannot be loaded.
    """
    return FacesRunner([_net(version, file, threads) for file in FILES])


def _net(version: ModelVersion, file: str, threads: int) -> Net:
    session = open_session(version, file, threads=threads)
    (taken,) = [node.name for node in session.get_inputs()]
    return lambda batch: session.run(None, {taken: np.ascontiguousarray(batch, np.float32)})


def _sides(faces: Faces) -> np.ndarray:
    sides: np.ndarray = (faces.boxes[:, 2:] - faces.boxes[:, :2]).max(axis=1, initial=0)
    return sides


def _padded(values: np.ndarray, count: int) -> np.ndarray:
    padding = [(0, count - len(values)), *[(0, 0)] * (values.ndim - 1)]
    return np.pad(np.asarray(values, np.float32), padding)
