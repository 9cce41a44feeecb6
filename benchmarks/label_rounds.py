"""How much corrections gain, by how the questions were chosen: Fashion-MNIST, from a model trained on 500 images.

    python -m benchmarks.label_rounds --plot docs/images/label-rounds.svg

Each round a service answers 5,000 images and asks 200 questions in its own order. What is true is said over the API,
and the training of images starts from nothing on all of them whose label is known. The accuracy is that of 2,000 of the
official test images, which nobody is asked about. It needs the training environment, and half an hour.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np

from benchmarks.imports import training_python
from benchmarks.round_plots import Line, draw
from benchmarks.services import answered, embedded
from benchmarks.session import session
from benchmarks.tables import table
from production_server.training.datasets import load_fashion_mnist
from production_server.training.fashion_mnist import LABELS
from production_server.training.image_set import ImageSet, as_png
from production_server.training.progress import Reporter
from testing.celeriac import ROOT, Celeriac

MODEL = "clothes"
# A folder's name is the label.
CLASSES = tuple(label.replace("/", "-") for label in LABELS)
BEGIN, POOL, TEST = 500, 5_000, 2_000
ORDERS = ("margin", "random")
Found = dict[str, list[list[float]]]
"""The accuracies after each round, of each run, by the order of questions."""


@click.command()
@click.option("--seeds", default=2, show_default=True, help="Runs, each from 500 images of its own.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--corrections", default=200, show_default=True, help="In each round.")
@click.option("--epochs", default=60, show_default=True, help="Passes of each training.")
@click.option("--plot", type=click.Path(path_type=Path), help="An SVG to write.")
def main(*, seeds: int, rounds: int, corrections: int, epochs: int, plot: Path | None) -> None:
    """Measure, and print what docs/labels.md has as a table."""

    def report(line: str) -> None:
        click.echo(line, err=True)

    found: Found = {order: [] for order in ORDERS}
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory(prefix="celeriac-bench-") as folder:
            run = Run(Path(folder), seed=seed, epochs=epochs, report=report)
            first = run.train(run.begin, "first")
            for order in ORDERS:
                found[order].append(run.rounds(first, order, rounds=rounds, count=corrections))
    labels = [corrections * each for each in range(rounds + 1)]
    click.echo(shown(found, labels))
    if plot is not None:
        named = {"margin": "least sure first, every tenth at random", "random": "at random"}
        lines = [Line(named[order], runs) for order, runs in found.items()]
        draw(plot, lines, at=labels, along="corrections", up="accuracy on 2,000 test images", low=0.76)


class Run:
    """One division of the images, and the trainings on it."""

    def __init__(self, folder: Path, *, seed: int, epochs: int, report: Callable[[str], None]) -> None:
        self._folder, self._seed, self._epochs, self._report = folder, seed, epochs, report
        self._images = load_fashion_mnist("train", Reporter(is_quiet=True))
        drawn = np.random.default_rng(seed).permutation(len(self._images))[: BEGIN + POOL].tolist()
        self.begin: list[int] = drawn[:BEGIN]
        self._pool: list[int] = drawn[BEGIN:]
        test = load_fashion_mnist("test", Reporter(is_quiet=True))
        self._test = test.take(np.arange(TEST))

    def rounds(self, store: Path, order: str, *, rounds: int, count: int) -> list[float]:
        """The accuracies at first and after each round."""
        known, found = list(self.begin), [accuracy(store, self._test)]
        for turn in range(1, rounds + 1):
            known += self._corrected(store, set(known), order, count)
            store = self.train(known, f"{order}-{turn}")
            found.append(accuracy(store, self._test))
            self._report(f"seed {self._seed}, {order}, round {turn}: {found[-1]:.4f}")
        return found

    def train(self, known: Sequence[int], name: str) -> Path:
        """Train on these images, from nothing; answers the store with the version.

        Each has a store of its own: the gate would hold it against images that the one before has learnt.
        """
        data, store = self._folder / name / "images", self._folder / name / "store"
        for number in known:
            file = data / self._label(number) / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self._png(number))
        options = {"--data": data, "--name": MODEL, "--epochs": self._epochs, "--seed": self._seed}
        command = [training_python(), "-m", "production_server.training", "fashion_mnist", "--quiet"]
        command += [word for option in options.items() for word in option]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "MODEL_STORE": str(store)}
        # What TensorFlow says of itself comes on standard error; of a failure the reader wants all.
        done = subprocess.run(
            list(map(str, command)), env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            sys.exit(done.stderr)
        return store

    def _corrected(self, store: Path, known: set[int], order: str, count: int) -> list[int]:
        """The images that a service asks about, once each is said to be what it is."""
        files = {f"{number}.png": self._png(number) for number in self._pool if number not in known}
        with embedded(MODEL_STORE=str(store)) as service:
            answered(service, MODEL, files)
            return [self._say(service, order) for _ in range(count)]

    def _say(self, service: Celeriac, order: str) -> int:
        path = f"/api/labels/{MODEL}"
        asked = service.web.get(f"{path}/next", params={"order": order}).raise_for_status().json()
        (question,) = asked["questions"]
        number = int(question["name"].removesuffix(".png"))
        said = {"job": question["job"], "index": question["index"], "label": self._label(number)}
        service.web.post(f"{path}/decisions", json=said).raise_for_status()
        return number

    def _label(self, number: int) -> str:
        return CLASSES[self._images.classes[number]]

    def _png(self, number: int) -> bytes:
        return as_png(self._images.images[number])


def accuracy(store: Path, test: ImageSet) -> float:
    """The share of these images that a store's only version answers right."""
    loaded = session(store / MODEL / "1" / "model.onnx")
    (probabilities,) = loaded.run(None, {loaded.get_inputs()[0].name: test.scaled()})
    # Folders, and so a model's labels, come in the order of the alphabet.
    ordered = np.array(sorted(CLASSES))
    return float((ordered[probabilities.argmax(axis=1)] == np.array(CLASSES)[test.classes]).mean())


def shown(found: Found, labels: Sequence[int]) -> str:
    """The accuracies by corrections in Markdown: the mean of all runs, and each run."""
    rows = []
    for place, count in enumerate(labels):
        cells = []
        for order in ORDERS:
            each = [run[place] for run in found[order]]
            runs = ", ".join(f"{100 * share:.1f}" for share in each)
            cells.append(f"{statistics.mean(each):.1%} ({runs})")
        rows.append([f"{count:,}", *cells])
    return table(["corrections", "least sure first", "at random"], rows)


if __name__ == "__main__":
    main()
