"""The last check of a training: a server that has the drafted version answers files as the training measured it.

What is trained on was decoded in this process; what is asked for is decoded where it is served. A training that tests
itself with its own pixels never sees that the two differ.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from production_server.errors import CeleriacError
from production_server.inference import Engine
from production_server.models.manifest import read_manifest
from production_server.models.registry import Registry
from production_server.models.tensors import only
from production_server.training.errors import ExportError
from production_server.training.image_files import MOST_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from production_server.models.store import ModelVersion
    from production_server.models.tasks.inputs import CheckedInput
    from production_server.training.progress import Reporter

    Answers = NDArray[np.floating]
    FileOf = Callable[[int], tuple[str, bytes]]

MOST_FILES = 300
"""Of a large test set so many are asked for, evenly from all of it: a minute where they are photos of a camera."""
ALLOWED = 1e-3
"""Between probabilities: ten times what engines differ by, a tenth of what a step of brightness in all pixels does."""
FAULTS_TO_NAME = 20
_BATCH = 8


def chosen_places(count: int) -> list[int]:
    """Which of `count` items are asked for."""
    return [int(place) for place in np.linspace(0, count - 1, min(count, MOST_FILES))]


def check_files(
    folder: Path, places: Sequence[int], file_of: FileOf, answers: Answers, reporter: Reporter
) -> None:
    """Ask a drafted version, as a server does, for files; `file_of` brings one's name and bytes by its place.

    `answers` are those that the training got for the same places, [len(places), labels].

    Raises:
        ExportError: the server refuses a file, or answers something else; the first 20 are named.
        DataError: a file is gone.
    """
    faults: list[str] = []
    with (
        _served(folder) as (engine, version),
        reporter.steps("Asking as a client does", len(places)) as advance,
    ):
        for start in range(0, len(places), _BATCH):
            files = [file_of(place) for place in places[start : start + _BATCH]]
            faults += _faults(engine, version, files, answers[start : start + _BATCH])
            advance(len(files))
    _refuse(faults, f"{len(places)} held-out files")


def check_table(folder: Path, table: bytes, truth: Sequence[str], answers: Answers) -> None:
    """Ask a drafted version, as a server does, for the rows of a CSV file that has the outcomes, too.

    Raises:
        ExportError: the server reads other rows or outcomes, or answers something else; the first 20 are named.
    """
    with _served(folder) as (engine, version):
        try:
            checked = version.task.inputs.check_table(table, max_rows=len(answers), truth=version.task)
        except CeleriacError as exc:
            raise ExportError(f"a server refuses the table of the data set: {exc}") from exc
        rows = checked.inputs
        faults = [
            f"row {place + 1}: the outcome {row.expected}, where the training has {true}"
            for place, (row, true) in enumerate(zip(rows, truth, strict=False))
            if row.expected != true
        ]
        if len(rows) != len(truth):
            faults.insert(0, f"{len(rows)} rows, where the training has {len(truth)}")
        else:
            faults += _differences(version, _names(rows), _answers(engine, version, rows), answers)
    _refuse(faults, f"{len(truth)} rows")


@contextmanager
def _served(folder: Path) -> Iterator[tuple[Engine, ModelVersion]]:
    """The drafted version in a store of its own, as a server has it: found by its manifest, checked and warmed up."""
    manifest = read_manifest(folder)
    with tempfile.TemporaryDirectory(prefix="celeriac-") as store:
        place = Path(store) / manifest.name / manifest.version
        place.parent.mkdir()
        place.symlink_to(folder.resolve(), target_is_directory=True)
        registry = Registry([Path(store)])
        engine = Engine(registry, threads=1)
        try:
            engine.load(manifest.name, manifest.version)
            yield engine, registry.resolve(manifest.name, manifest.version)
        except CeleriacError as exc:
            raise ExportError(f"a server cannot use the new version: {exc}") from exc
        finally:
            engine.close()


def _faults(
    engine: Engine, version: ModelVersion, files: Sequence[tuple[str, bytes]], answers: Answers
) -> list[str]:
    """What is wrong with a server's answers to some files: at its door, and behind it."""
    outputs = engine.run(*version.key, [data for _, data in files], max_pixels=MOST_PIXELS)
    faults = {place: f"{files[place][0]}: {error}" for place, error in outputs.errors.items()}
    for place, (name, data) in enumerate(files):
        try:
            version.task.inputs.check_file(data, field=name, max_pixels=MOST_PIXELS)
        except CeleriacError as exc:
            faults[place] = str(exc)
    taken = [place for place in range(len(files)) if place not in faults]
    names = [files[place][0] for place in taken]
    return [*faults.values(), *_differences(version, names, only(outputs.values)[taken], answers[taken])]


def _answers(engine: Engine, version: ModelVersion, rows: Sequence[CheckedInput]) -> Answers:
    return only(engine.run(*version.key, [row.payload for row in rows], max_pixels=MOST_PIXELS).values)


def _names(rows: Sequence[CheckedInput]) -> list[str]:
    return [f"row {place + 1}" for place in range(len(rows))]


def _differences(version: ModelVersion, names: Sequence[str], found: Answers, wanted: Answers) -> list[str]:
    labels = version.manifest.labels
    is_other = ~(np.abs(found - wanted) <= ALLOWED).all(axis=1)  # also where one is not a number
    return [
        f"{names[place]}: {labels[found[place].argmax()]} ({found[place].max():.3f}), "
        f"where the training measured {labels[wanted[place].argmax()]} ({wanted[place].max():.3f})"
        for place in np.flatnonzero(is_other).tolist()
    ]


def _refuse(faults: Sequence[str], asked: str) -> None:
    if faults:
        more = f"; and {len(faults) - FAULTS_TO_NAME} more" if len(faults) > FAULTS_TO_NAME else ""
        raise ExportError(
            f"a server answers {len(faults)} of {asked} otherwise than the training, so nothing is published: "
            f"{'; '.join(faults[:FAULTS_TO_NAME])}{more}"
        )
