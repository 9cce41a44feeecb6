# /// script
# requires-python = ">=3.11,<3.13"
# dependencies = ["numpy==2.4.6", "onnx==1.23.2", "onnxscript==0.7.2", "torch==2.13.0"]
# ///
"""Makes the PyTorch networks of tests/data/models: `MODEL_DATA_DIR=… uv run testing/foreign_models/pytorch.py`.

Trained for some seconds on Fashion-MNIST, and exported in the three ways that users have.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

FOLDER = Path(__file__).parents[2] / "tests" / "data" / "models"
DATA = Path(os.environ["MODEL_DATA_DIR"]) / "fashion-mnist"


def read(name: str, header_bytes: int) -> torch.Tensor:
    """The numbers of one file of the data set, uint8."""
    raw = gzip.decompress((DATA / name).read_bytes())
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=header_bytes).copy())


def build() -> nn.Module:
    """A small network: [n, 1, 28, 28] in, the logits of ten classes out."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Flatten(), nn.Linear(16 * 7 * 7, 10),
    )  # fmt: skip


def train() -> nn.Module:
    torch.manual_seed(1)
    images = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    labels = read("train-labels-idx1-ubyte.gz", 8).long()
    network = build()
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for places in torch.randperm(len(images)).split(128):
        loss = nn.functional.cross_entropy(network(images[places].float() / 255), labels[places])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def main() -> None:
    network, example = train(), (torch.zeros(1, 1, 28, 28),)
    batch = {0: torch.export.Dim("batch")}
    torch.onnx.export(
        network, example, FOLDER / "fashion_cnn.onnx", input_names=["pixels"], output_names=["logits"],
        dynamic_shapes=(batch,), external_data=False, dynamo=True,
    )  # fmt: skip
    torch.onnx.export(
        network, example, FOLDER / "fashion_cnn_batch_of_1.onnx", external_data=False, dynamo=True
    )
    torch.onnx.export(
        nn.Sequential(network, nn.LogSoftmax(dim=1)), example, FOLDER / "fashion_cnn_torchscript.onnx",
        input_names=["pixels"], output_names=["log_probabilities"], dynamo=False,
        dynamic_axes={"pixels": {0: "n"}, "log_probabilities": {0: "n"}},
    )  # fmt: skip
    for name in ("fashion_cnn.onnx", "fashion_cnn_batch_of_1.onnx"):
        forget_places(FOLDER / name)


def forget_places(path: Path) -> None:
    """Take out of a file where the code lies that exported it: torch notes that of each node."""
    model = onnx.load(path)
    for each in (model.graph, *model.graph.node, *model.graph.value_info):
        del each.metadata_props[:]
    onnx.save(model, path)


if __name__ == "__main__":
    main()
