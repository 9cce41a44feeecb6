"""What a model's folder in a repository is: a version of the training, or a foreign file with what is said of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from production_server.delivery.descriptions import DESCRIPTION_FILE
from production_server.delivery.trees import raise_all
from production_server.errors import Fault, InvalidInput
from production_server.models.importing.formats import SAVED_MODEL_FILE
from production_server.models.importing.opened import ONNX_FILE
from production_server.models.manifest import MANIFEST_FILE, Manifest, digest_of
from production_server.models.tasks import task_of
from production_server.shown import shown
from production_server.validation import faults_of

SAMPLES = ("sample.csv", "sample.zip", "sample")
_MODELS = (".onnx", ".keras", ".h5", ".hdf5", ".json", ".zip")
_WEIGHTS = (".h5", ".hdf5")
_TELLING = (".yml", ".yaml", ".csv", ".zip")
_NOTES = ("readme", "license", "licence", "notice")
"""Files that people write for each other; a version made by the training has them beside it as well."""
EXPECTED = (
    f"a version of `make train` ({MANIFEST_FILE}, model.onnx), or one file of a model "
    f"(.onnx, .keras, .h5, model.json with its weights, a SavedModel) with {DESCRIPTION_FILE} and a sample beside it"
)


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A file, or the folder of a SavedModel, that `models import` would take; weights if it is an architecture."""

    file: Path
    weights: Path | None


def sample_in(folder: Path) -> Path | None:
    """What the model is tried on: `sample.csv`, `sample.zip`, or the folder `sample`; None: there is nothing.

    Raises:
        InvalidInput: there are several.
    """
    found = [folder / name for name in SAMPLES if (folder / name).exists()]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InvalidInput.at(f"{folder.name}, sample", f"one of {', '.join(SAMPLES)}", names)
    return found[0] if found else None


def unused_in(folder: Path, used: Collection[Path]) -> list[str]:
    """Files that look as if they said something of a foreign model, and say nothing: `model.yml`, `samples.csv`."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in _TELLING and path.name[0] != "." and path not in used
    )


def is_version(folder: Path) -> bool:
    """Whether a folder says that it is a version."""
    return (folder / MANIFEST_FILE).is_file()


def read_version(folder: Path, model: str) -> Manifest:
    """The manifest of a version that lies in a folder, with every file that it lists, and with no other one.

    Raises:
        InvalidInput: it is no manifest, of another model, or a file is missing, not listed, or another one.
    """
    place = f"{model}/{MANIFEST_FILE}"
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_text(errors="replace"))
        task_of(manifest)
    except ValidationError as exc:
        raise_all(
            replace(fault, field=f"{place}: {fault.field}")
            for fault in faults_of(exc, whole="all of it", words={"json_invalid": "JSON"})
        )
        raise
    except ValueError as exc:
        raise InvalidInput.at(place, "a manifest, as `make train` writes it", shown(str(exc))) from exc
    if manifest.name != model:
        raise InvalidInput.at(f"{place}: name", f"{model}, as its folder", shown(manifest.name))
    if manifest.runner != "onnx":
        raise InvalidInput.at(f"{place}: runner", "onnx: push the .keras file itself", shown(manifest.runner))
    if ONNX_FILE not in manifest.files:
        raise InvalidInput.at(f"{place}: files", f"{ONNX_FILE} among them", "none of that name")
    raise_all(_wrong_files(folder, manifest))
    return manifest


def foreign_file_in(folder: Path, model: str) -> ForeignFile:
    """The one model that lies in a folder.

    Raises:
        InvalidInput: there is none, or there are several.
    """
    saved = [
        path.parent
        for path in sorted(folder.glob(f"*/{SAVED_MODEL_FILE}"))
        if path.parent.name not in SAMPLES
    ]
    if (folder / SAVED_MODEL_FILE).is_file():
        saved = [folder]
    files = [path for path in sorted(folder.iterdir()) if _is_like_a_model(path)]
    weights = None
    if [path.suffix for path in files if path.suffix not in _WEIGHTS] == [".json"] and len(files) == 2:
        (weights,) = (path for path in files if path.suffix in _WEIGHTS)
        files.remove(weights)
    found = [*saved, *files]
    if len(found) != 1:
        names = ", ".join(path.relative_to(folder).as_posix() for path in found) or "none"
        raise InvalidInput.at(model, EXPECTED, shown(names))
    return ForeignFile(found[0], weights)


def _is_like_a_model(path: Path) -> bool:
    return (
        path.is_file() and path.suffix.lower() in _MODELS and path.name not in SAMPLES and path.name[0] != "."
    )


def _wrong_files(folder: Path, manifest: Manifest) -> Sequence[Fault]:
    faults = []
    for name, digest in manifest.files.items():
        place, path = f"{manifest.name}/{name}", folder / name
        if not path.is_file():
            faults.append(Fault(place, f"the file that {MANIFEST_FILE} lists", "nothing"))
        elif (found := digest_of(path)) != digest:
            told = f"SHA-256 {digest.sha256[:12]}…, {digest.size_bytes:,} bytes, as {MANIFEST_FILE} says"
            faults.append(Fault(place, told, f"{found.sha256[:12]}…, {found.size_bytes:,} bytes"))
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in manifest.files and not is_beside(name):
            faults.append(
                Fault(shown(f"{manifest.name}/{name}"), f"a file that {MANIFEST_FILE} lists", "another one")
            )
    return faults


def is_beside(name: str) -> bool:
    """Whether a file of a version's folder is none of the version's: a sample, or something for people, or for git."""
    first = name.split("/", maxsplit=1)[0]
    return (
        name == MANIFEST_FILE
        or first in SAMPLES
        or first.startswith(".")
        or first.lower().partition(".")[0] in _NOTES
    )
