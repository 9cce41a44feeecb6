"""What stands beside a model's file: the description that tells what the file cannot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from production_server.errors import InvalidInput
from production_server.models.importing.described import Described
from production_server.models.importing.said import described_by, split_names
from production_server.shown import describe
from production_server.sources.written_yaml import read_yaml

DESCRIPTION_FILE = "model.yaml"
_MOST_LABEL_BYTES = 2**22


def description_beside(file: Path) -> Path | None:
    """A file's own description, `iris.yaml` of `iris.onnx`; else that of all files in its folder."""
    own = file.parent / f"{file.name if file.is_dir() else file.stem}.yaml"
    return next((path for path in (own, file.parent / DESCRIPTION_FILE) if path.is_file()), None)


def read_description(
    path: Path | None, said: Mapping[str, Any], *, name: str = "", within: Path | None = None
) -> Described:
    """What stands in a description, if there is one, and above it what options say; those that are None say nothing.

    Faults call the file `name`, or by its path. What was sent by somebody names no file outside of `within`.

    Raises:
        SettingsError: it is not YAML. InvalidInput: it says what cannot be said.
    """
    whole = name or str(path)
    values: Any = {}
    written = None
    if path is not None:
        written = read_yaml(_text_of(path, whole), source=whole)
        values = written.value or {}
        if not isinstance(values, dict):
            raise InvalidInput.at(whole, "names with values, as title: My model", "something else")
        values = {**values, **_labels_beside(values, path.parent, within)}
    labels = said.get("labels")
    given = {**said, "labels": None if labels is None else _read_labels(labels, Path())}
    return described_by(values, given, whole=whole, faults_in=None if written is None else written.faults_of)


def _text_of(path: Path, whole: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidInput.at(whole, "text in UTF-8", "other bytes") from exc


def _labels_beside(values: dict[str, Any], folder: Path, within: Path | None) -> dict[str, Any]:
    """`labels: classes.txt` names a file beside the description."""
    labels = values.get("labels")
    if not isinstance(labels, str):
        return {}
    if within is not None and not (folder / labels).resolve().is_relative_to(within.resolve()):
        raise InvalidInput.at("labels", "a file beside the description", describe(labels))
    return {"labels": _read_labels(labels, folder)}


def _read_labels(written: str, folder: Path) -> list[str]:
    """Labels with commas between them, or those of a file, one in a line."""
    path = folder / written
    if "," in written:
        return split_names(written)
    if not path.is_file() or path.stat().st_size > _MOST_LABEL_BYTES:
        raise InvalidInput.at(
            "labels", "names with commas between them, or a file with one in a line", written
        )
    return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
