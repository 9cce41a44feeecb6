"""What `models quantize` makes of the image model: time of the processor, how often it is right, and size."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import number, table
from production_server.models.images import as_png
from production_server.models.registry import Registry
from production_server.models.runners import Runner, load_runner
from production_server.settings import BUILT_IN_MODEL_STORE
from production_server.training.datasets import load_fashion_mnist
from production_server.training.image_set import ImageSet
from production_server.training.progress import Reporter
from testing.celeriac import ROOT

MODEL = "fashion_mnist"
CALIBRATION_IMAGES = 500
"""The first ones of those that were learnt from."""
TEST_IMAGES = 4_000
"""The first ones of those that were not."""
BATCHES = (1, 32)
BITS = ("7", "8")
ROUND_IMAGES = 960


def measure(rounds: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Make int8 versions, and have all classify the same images; times are medians of rounds, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        state, sample = _prepared(Path(folder))
        made = list[tuple[str, float]]()
        for bits in BITS:
            report(f"quantized: making the version with weights of {bits} bits")
            begun = time.perf_counter()
            told = _command(state, "quantize", MODEL, "--sample", sample, "--weight-bits", bits, "--json")
            made.append((json.loads(told)["version"], time.perf_counter() - begun))
        stores = [BUILT_IN_MODEL_STORE, state / "models"]
        with _runners(stores, ["1", *(number for number, _ in made)]) as runners:
            report("quantized: classifying")
            return {"command_s": [took_s for _, took_s in made], **_figures(stores, runners, rounds)}


def tables(found: dict[str, Any]) -> str:
    """What was found, in Markdown."""
    rows = [
        [f"processor for an image, µs, in batches of {size}", *map(number, found[f"us_{size}"])]
        for size in BATCHES
    ]
    rows += [
        [f"right, of {TEST_IMAGES:,} test images, %", *(f"{100 * each:.2f}" for each in found["accuracy"])],
        ["the same label as version 1, %", "", *(f"{100 * each:.2f}" for each in found["agreement"])],
        ["model.onnx, bytes", *(f"{each:,}" for each in found["bytes"])],
        ["`models quantize`, s", "", *map(number, found["command_s"])],
    ]
    return table(["`fashion_mnist`", "version 1", *(f"int8, weights of {bits} bits" for bits in BITS)], rows)


def int8_store(folder: Path) -> Path:
    """A store of models with one version, which `models quantize` has made of the image model as it does by itself."""
    state, sample = _prepared(folder)
    _command(state, "quantize", MODEL, "--sample", sample)
    return state / "models"


def _prepared(folder: Path) -> tuple[Path, Path]:
    """A service's state in which the built-in version is stable, and images to calibrate by."""
    state = folder / "state"
    _command(state, "promote", MODEL, "1")
    return state, _sample(folder / "sample")


def _figures(stores: list[Path], runners: list[Runner], rounds: int) -> dict[str, Any]:
    images = load_fashion_mnist("test", Reporter())
    tensors = _tensors(images, TEST_IMAGES)
    chosen = [_labels(runner, tensors) for runner in runners]
    truths = images.classes[:TEST_IMAGES]
    versions = Registry(stores).versions(MODEL)
    found: dict[str, Any] = {
        "accuracy": [float((each == truths).mean()) for each in chosen],
        "agreement": [float((chosen[0] == each).mean()) for each in chosen[1:]],
        "bytes": [version.manifest.files["model.onnx"].size_bytes for version in versions],
    }
    for size in BATCHES:
        seconds = [[_processor_s(each, tensors, size) for each in runners] for _ in range(3 * rounds)]
        found[f"us_{size}"] = [1e6 * statistics.median(each) for each in zip(*seconds, strict=True)]
    return found


def _labels(runner: Runner, tensors: np.ndarray) -> np.ndarray:
    parts = [runner.run({"image": part})["probabilities"] for part in np.split(tensors, len(tensors) // 100)]
    labels: np.ndarray = np.concatenate(parts).argmax(axis=1)
    return labels


def _processor_s(runner: Runner, tensors: np.ndarray, size: int) -> float:
    """Seconds of this thread for an image; the runner has no other one."""
    began = time.thread_time()
    for start in range(0, ROUND_IMAGES, size):
        runner.run({"image": tensors[start : start + size]})
    return (time.thread_time() - began) / ROUND_IMAGES


@contextmanager
def _runners(stores: list[Path], numbers: list[str]) -> Iterator[list[Runner]]:
    registry = Registry(stores)
    runners = [load_runner(registry.version(MODEL, each), threads=1) for each in numbers]
    try:
        yield runners
    finally:
        for runner in runners:
            runner.close()


def _tensors(images: ImageSet, count: int) -> np.ndarray:
    return images.images[:count].astype(np.float32).reshape(-1, 28, 28, 1) / np.float32(255)


def _sample(folder: Path) -> Path:
    images = load_fashion_mnist("train", Reporter())
    for place in range(CALIBRATION_IMAGES):
        label = folder / str(images.classes[place])
        label.mkdir(parents=True, exist_ok=True)
        (label / f"{place}.png").write_bytes(as_png(images.images[place, ..., 0]))
    return folder


def _command(state: Path, *arguments: str | Path) -> str:
    environment = os.environ | {"STATE_DIR": str(state), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "production_server", "models", *map(str, arguments)]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
