"""How well a faces model finds faces and tells people apart, on pictures of which it is known who is on them.

    python -m benchmarks.faces STORE FOLDER [FOLDER_WITHOUT_FACES]

STORE is a store of models that has `faces`. FOLDER has a folder for each person, with pictures of that person alone, as
AT&T's; on what the last one has, each face that is found is a false one. It prints what docs/faces.md has as a table.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.tables import number, table
from production_server.models.images import read_picture
from production_server.models.registry import Registry
from production_server.models.runners import Runner, load_runner
from production_server.models.tensors import Tensors

MODEL = "faces"
ENDINGS = {".jpeg", ".jpg", ".pgm", ".png"}
LONGEST_SIDE = 2_048
MOST_PIXELS = 50_000_000
FALSE_ACCEPTS = (0.01, 0.001)
RESAMPLED = 500
"""Draws of as many people, with replacement. Pairs are no units to draw: those of one person are alike."""


def main(store: str, people: str, without: str = "") -> None:
    """Measure and print."""
    registry = Registry([Path(store)])
    runner = load_runner(registry.versions(MODEL)[-1], threads=1)
    pictures = _pictures(Path(people))
    found, took_ms = _found(runner, pictures)
    counts = [int(each["count"][0]) for each in found]
    rows = [
        [f"pictures of one face, {len(counts):,}: with one, none, more", _spread(counts)],
        ["ms a picture, median", number(float(np.median(took_ms)))],
    ]
    seen = [place for place, count in enumerate(counts) if count]
    embeddings = np.stack([found[place]["embeddings"][0, 0] for place in seen])
    names = np.array([pictures[place].parent.name for place in seen])
    rows += _told_apart(embeddings, names)
    if without:
        others = _pictures(Path(without))
        false = [int(each["count"][0]) for each in _found(runner, others)[0]]
        rows.append([f"pictures without a face, {len(others):,}: false faces", f"{sum(false)}"])
    sys.stdout.write(table(["", "figure"], rows) + "\n")


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)


def _found(runner: Runner, pictures: list[Path]) -> tuple[list[Tensors], list[float]]:
    """The outputs for each picture, and how many ms each took after it was decoded."""
    found, took_ms = [], []
    for path in pictures:
        pixels = read_picture(path.read_bytes(), longest_side=LONGEST_SIDE, max_pixels=MOST_PIXELS)
        begun = time.perf_counter()
        found.append(runner.run({"picture": pixels[None]}))
        took_ms.append(1_000 * (time.perf_counter() - begun))
    return found, took_ms


def _spread(counts: list[int]) -> str:
    return f"{counts.count(1)}, {counts.count(0)}, {sum(count > 1 for count in counts)}"


def _told_apart(embeddings: np.ndarray, names: np.ndarray) -> list[list[str]]:
    """Of all pairs: the area under the curve, and what is accepted; with 95 % intervals by drawing people."""
    people, who = np.unique(names, return_inverse=True)
    first, second = np.triu_indices(len(who), 1)
    distances = np.linalg.norm(embeddings[first] - embeddings[second], axis=1)
    order = np.argsort(distances)
    distances, first, second = distances[order], who[first][order], who[second][order]
    same = first == second
    whole = _figures(same, np.ones(len(same)))
    draw, drawn = np.random.default_rng(0), []
    for _ in range(RESAMPLED):
        times = np.bincount(draw.integers(len(people), size=len(people)), minlength=len(people))
        drawn.append(_figures(same, np.where(same, times[first], times[first] * times[second])))
    low, high = np.percentile(np.array(drawn), (2.5, 97.5), axis=0)
    rows = [
        [
            f"{same.sum():,} pairs of one person, {(~same).sum():,} of two: AUC",
            f"{whole[0]:.5f} ({low[0]:.5f} to {high[0]:.5f})",
        ]
    ]
    for place, share in enumerate(FALSE_ACCEPTS, 1):
        limit = distances[~same][int(share * (~same).sum())]
        rows.append(
            [
                f"true accept where {share:.1%} of strangers pass (distance {limit:.3f})",
                f"{whole[place]:.1%} ({low[place]:.1%} to {high[place]:.1%})",
            ]
        )
    return rows


def _figures(same: np.ndarray, weights: np.ndarray) -> list[float]:
    """The area under the curve and the true accepts, of pairs sorted by their distance that count `weights` times."""
    accepted, passed = np.cumsum(weights * same), np.cumsum(weights * ~same)
    accepted = np.concatenate([[0.0], accepted / accepted[-1]])
    passed = np.concatenate([[0.0], passed / passed[-1]])
    area = float(np.trapezoid(accepted, passed))
    return [area, *(float(accepted[np.searchsorted(passed, share) - 1]) for share in FALSE_ACCEPTS)]


if __name__ == "__main__":
    main(*sys.argv[1:])
