"""Use case, in the importer's own process: a foreign file in, what a version serves and says of itself out."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from production_server.errors import InvalidInput
from production_server.models import manifest as card
from production_server.models.importing.archives import is_visible, unpack
from production_server.models.importing.batches import check_batches
from production_server.models.importing.described import Described
from production_server.models.importing.formats import (
    MOST_BYTES,
    NEEDS_TENSORFLOW,
    ONNX_SUFFIX,
    SAVED_MODEL_FILE,
    Format,
    check_size,
    check_weights,
    format_of,
)
from production_server.models.importing.inferred import Inferred, infer
from production_server.models.importing.opened import Opened
from production_server.models.importing.parity import check_answers, edge_notes, inputs_for, parity_of
from production_server.models.importing.sample import Sample, read_sample
from production_server.models.importing.source import source_of
from production_server.models.runners import load_runner
from production_server.models.store import ModelVersion
from production_server.models.tasks import task_of
from production_server.shown import shown
from production_server.validation import faults_of

_READERS: dict[Format, str] = {
    "onnx": "onnx_file",
    "keras": "keras_file",
    "keras_hdf5": "keras_hdf5",
    "keras_json": "keras_json",
    "savedmodel": "savedmodel",
    "savedmodel_zip": "savedmodel",
    "onnx_zip": "onnx_file",
}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is to be imported: paths are absolute, `into` is the draft's folder, `scratch` is nobody else's."""

    file: Path
    into: Path
    scratch: Path
    name: str
    described: Described
    weights: Path | None = None
    sample: Path | None = None
    signature: str | None = None
    most_bytes: int = MOST_BYTES


@dataclass(frozen=True)
class Imported:
    """The manifest, with a number and digests yet to come, and all that was assumed."""

    manifest: card.Manifest
    notes: tuple[str, ...]


def import_file(request: Request, say: Say) -> Imported:
    """Read, describe, fit, compare and load, as a worker does; what is served lies in `request.into` then.

    Raises:
        InvalidInput: the file, or what is said of it, cannot be used; by name, with what to do.
        BrokenVersion, InferenceFailed: what is served of it does not load or run.
    """
    check_size(request.file, request.most_bytes)
    if request.weights is not None:
        check_size(request.weights, request.most_bytes, field="weights")
    kind = format_of(request.file)
    say(f"Reading {request.file.name} ({kind})")
    opened = _read(kind, request)
    check_batches(opened.original, opened.inputs)
    described = request.described
    sample = None
    if request.sample is not None:
        features = [each.name for each in described.features]
        sample = read_sample(request.sample, target=described.target, features=features)
    inferred = infer(opened, described, sample)
    if opened.runner == "onnx":
        inferred.fitting.change(request.into / opened.served_file)
    source = source_of(kind, request.file, request.weights, producer=opened.producer)
    manifest = _manifest(request, source, opened, inferred)
    return _compared(manifest, inferred, opened, sample, request.into, say)


def _read(kind: Format, request: Request) -> Opened:
    if kind in NEEDS_TENSORFLOW and importlib.util.find_spec("tensorflow") is None:
        raise InvalidInput.at(
            "file",
            'TensorFlow, to read a file of this kind: make import ARGS="FILE --name NAME" sets its environment up',
            "a Python without it",
        )
    check_weights(kind, None if request.weights is None else request.weights.name)
    path = request.file
    if kind in _INSIDE:
        unpack(path, request.scratch / "unpacked")
        path = _INSIDE[kind](request.scratch / "unpacked")
    extras: dict[str, Any] = {}
    if request.weights is not None:
        extras["weights"] = request.weights
    if request.signature is not None:
        extras["signature"] = request.signature
    reader = importlib.import_module(f"{__package__}.{_READERS[kind]}")
    opened: Opened = reader.read(path, request.into, **extras)
    return opened


def _saved_model_in(folder: Path) -> Path:
    found = [path.parent for path in sorted(folder.rglob(SAVED_MODEL_FILE))]
    if len(found) != 1:
        names = ", ".join(str(each.relative_to(folder)) for each in found)
        raise InvalidInput.at("file", "an archive of one SavedModel", shown(f"{len(found)}: {names}"))
    return found[0]


def _graph_in(folder: Path) -> Path:
    # There is one: by that the archive was told from others.
    (path,) = (
        each for each in folder.rglob(f"*{ONNX_SUFFIX}") if is_visible(each.relative_to(folder).as_posix())
    )
    if format_of(path) != "onnx":
        raise InvalidInput.at("file", f"ONNX in {shown(path.name)}", format_of(path))
    return path


_INSIDE: dict[Format, Callable[[Path], Path]] = {"savedmodel_zip": _saved_model_in, "onnx_zip": _graph_in}
"""Where the model is in an archive that was unpacked."""


def _manifest(request: Request, source: card.Source, opened: Opened, inferred: Inferred) -> card.Manifest:
    described = request.described
    values = {
        "schema": 1,
        "name": request.name,
        "version": "1",
        "title": described.title or request.name.replace("_", " "),
        "description": described.description,
        "created": datetime.now(UTC).replace(microsecond=0),
        "inputs": inferred.fitting.inputs,
        "outputs": inferred.fitting.outputs,
        "metrics": None,
        "training_data": (),
        "code_revision": None,
        "parity": None,
        "source": source,
        "runner": opened.runner,
        "files": {},
        **inferred.fields,
    }
    try:
        manifest = card.Manifest.model_validate(values)
        task_of(manifest)
    except ValidationError as exc:
        faults = tuple(faults_of(exc, whole="the manifest"))
        raise InvalidInput("; ".join(map(str, faults)), faults) from exc
    except ValueError as exc:
        raise InvalidInput(str(exc)) from exc
    return manifest


def _compared(
    manifest: card.Manifest, inferred: Inferred, opened: Opened, sample: Sample | None, folder: Path, say: Say
) -> Imported:
    version = _drafted(manifest, folder, folder / opened.served_file)
    runner = load_runner(version, threads=1)
    try:
        served = runner.run
        inputs = inputs_for(manifest, sample)
        say(f"Comparing what is served with the original on {inputs.origin}")
        parity = parity_of(manifest, inferred.fitting.of(opened.original), served, inputs)
        first = {name: array[:64] for name, array in inputs.tensors.items()}
        check_answers(version, served(first))
        notes = [*inferred.notes, *edge_notes(manifest, served)]
    finally:
        runner.close()
    say(f"They differ by at most {parity.max_abs_difference:.1e}")
    return Imported(manifest.model_copy(update={"parity": parity}), tuple(notes))


def _drafted(manifest: card.Manifest, folder: Path, file: Path) -> ModelVersion:
    """The draft as a worker sees a version."""
    digest = card.digest_of(file)
    listed = manifest.model_copy(update={"files": {file.name: digest}})
    return ModelVersion(listed, folder, task_of(listed))
