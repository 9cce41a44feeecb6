"""`python -m production_server models`: foreign files into versions, and what versions there are."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from production_server.errors import InvalidInput, NotFound
from production_server.models.drafts import draft_version
from production_server.models.importing.described import Described
from production_server.models.importing.formats import Format, format_of
from production_server.models.importing.process import Answered, Asked, import_in_process
from production_server.models.manifest import Manifest, Source, digest_of
from production_server.models.registry import STABLE, Registry
from production_server.settings import Settings
from production_server.sources.written_yaml import read_yaml
from production_server.validation import faults_of

DESCRIPTION_FILE = "model.yaml"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_MOST_LABEL_BYTES = 2**22
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("models")
def model_commands() -> None:
    """Bring models of your own in, and show which versions there are."""


def _described(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what a file cannot tell; each stands above what model.yaml says."""
    for option in (
        click.option("--quantity", help="Name of what a regression answers."),
        click.option("--unit", help="Its unit."),
        click.option("--target", help="Column of a table that holds what is true."),
        click.option("--top", type=int, help="How many of its best labels a job keeps of an item."),
        click.option(
            "--threshold",
            type=float,
            help="From which probability on the second label is the answer, or each of several is one.",
        ),
        click.option(
            "--activation",
            type=click.Choice(["softmax", "sigmoid", "none"]),
            help="What is put behind the output.",
        ),
        click.option("--output", help="Which of several outputs is the answer."),
        click.option("--features", help="Names of the columns, with commas between them."),
        click.option(
            "--labels", help="Names of what it chooses from, with commas, or a file with one in a line."
        ),
        click.option("--title", help="What people see.  [default: the name]"),
        click.option(
            "--task", help="What it is for, such as tabular_classification.  [default: as it looks]"
        ),
    ):
        command = option(command)
    return command


@model_commands.command("import")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--name", required=True, help="What the model is to be called.")
@_described
@click.option("--weights", type=_FILE, help="The weights (.h5) of an architecture (model.json).")
@click.option("--signature", help="Which signature of a SavedModel.  [default: serving_default]")
@click.option(
    "--sample",
    type=click.Path(exists=True, path_type=Path),
    help="Rows in a CSV, or a folder with a folder of images for each label: tells names, ranges and labels.",
)
@click.option(
    "--describe", type=_FILE, help=f"What the file cannot tell.  [default: {DESCRIPTION_FILE} beside it]"
)
@click.option(
    "--breaking", is_flag=True, help="Take other inputs or answers than the model's versions now have."
)
@click.option("--dry-run", is_flag=True, help="Do all of it, and publish nothing.")
@AS_JSON
@click.pass_obj
def import_model(  # noqa: PLR0913  # one argument per option
    settings: Settings,
    /,
    *,
    file: Path,
    name: str,
    weights: Path | None,
    signature: str | None,
    sample: Path | None,
    describe: Path | None,
    breaking: bool,
    dry_run: bool,
    as_json: bool,
    **said: Any,
) -> None:
    """Make FILE a version that serves: ONNX, .keras, .h5, model.json with --weights, or a SavedModel.

    What it is for is found out from the file, from a sample, from model.yaml beside it, and from the options. Servers
    that run notice the version within a second.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput.at(
            "--name", "small letters, digits, '_', '.' and '-', at most 64", json.dumps(name)
        )
    asked = Asked(
        file=file,
        name=name,
        source=_source_of(file),
        described=_read_description(describe, file, said),
        weights=weights,
        sample=sample,
        signature=signature,
        python=settings.import_python or Path(sys.executable),
    )
    *others, store = settings.model_stores
    with draft_version(store, name, others=others) as draft:
        answered = import_in_process(asked, draft.folder, _say)
        _check_signature(settings, answered.manifest, is_breaking=breaking)
        manifest = answered.manifest.model_copy(update={"version": draft.version, "files": draft.digests()})
        folder = None if dry_run else draft.publish(manifest, check=lambda _: None)
    number = folder.name if folder else manifest.version
    _show_imported(answered, manifest.model_copy(update={"version": number}), folder, as_json=as_json)


@model_commands.command("list")
@AS_JSON
@click.pass_obj
def list_models(settings: Settings, *, as_json: bool) -> None:
    """Show all models with their versions."""
    registry = Registry(settings.model_stores)
    found = {name: registry.versions(name) for name in registry.model_names()}
    if as_json:
        told = [
            {
                "name": name,
                "task": versions[-1].manifest.task,
                "versions": [each.manifest.version for each in versions],
                "channels": registry.channels(name),
            }
            for name, versions in found.items()
        ]
        click.echo(json.dumps(told))
        return
    rows: list[tuple[str, ...]] = [("model", "serves", "task", "runner", "made", "title")]
    for name in found:
        manifest = registry.resolve(name).manifest
        made = f"{manifest.created:%Y-%m-%d}"
        rows.append((name, manifest.version, manifest.task, manifest.runner, made, manifest.title))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@model_commands.command()
@click.argument("name")
@click.option("--version", "number", help="Which version.  [default: what serves]")
@AS_JSON
@click.pass_obj
def show(settings: Settings, *, name: str, number: str | None, as_json: bool) -> None:
    """Show what a version takes and answers, where it comes from, and how it was compared."""
    found = Registry(settings.model_stores).resolve(name, number)
    click.echo(found.manifest.to_json() if as_json else "\n".join(_lines_of(found.manifest)))


def _source_of(file: Path) -> Source:
    """Which file it is; that of a SavedModel's folder is its graph."""
    kind = format_of(file)
    counted = file / "saved_model.pb" if file.is_dir() else file
    names: dict[Format, Any] = {"savedmodel_zip": "savedmodel"}
    return Source(file=file.resolve().name, format=names.get(kind, kind), **digest_of(counted).model_dump())


def _read_description(describe: Path | None, file: Path, said: dict[str, Any]) -> Described:
    """What stands in model.yaml, and above it what the options say.

    Raises:
        SettingsError: it is not YAML. InvalidInput: it says what cannot be said.
    """
    beside = file.parent / DESCRIPTION_FILE
    path = describe or (beside if beside.is_file() else None)
    values: Any = {}
    if path is not None:
        _say(f"Reading {path}")
        written = read_yaml(path.read_text(encoding="utf-8"), source=str(path))
        values = written.value or {}
        if not isinstance(values, dict):
            raise InvalidInput.at(str(path), "names with values, as title: My model", "something else")
        values = {**values, **_labels_beside(values, path.parent)}
    try:
        return Described.model_validate({**values, **_options(said)})
    except ValidationError as exc:
        faults = tuple(faults_of(exc, whole=str(path), words={"dict_type": "names with values"}))
        raise InvalidInput("; ".join(map(str, faults)), faults) from exc


def _labels_beside(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """`labels: classes.txt` names a file beside the description."""
    labels = values.get("labels")
    return {"labels": _read_labels(labels, folder)} if isinstance(labels, str) else {}


def _options(said: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in said.items() if value is not None}
    unit, quantity = given.pop("unit", None), given.pop("quantity", None)
    if quantity or unit:
        given["quantity"] = {"name": quantity, "unit": unit}
    if "labels" in given:
        given["labels"] = _read_labels(given["labels"], Path())
    if "features" in given:
        given["features"] = [name.strip() for name in given["features"].split(",")]
    return given


def _read_labels(written: str, folder: Path) -> list[str]:
    """Labels with commas between them, or those of a file, one in a line."""
    path = folder / written
    if "," in written:
        return [label.strip() for label in written.split(",")]
    if not path.is_file() or path.stat().st_size > _MOST_LABEL_BYTES:
        raise InvalidInput.at(
            "labels", "names with commas between them, or a file with one in a line", written
        )
    return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]


def _check_signature(settings: Settings, manifest: Manifest, *, is_breaking: bool) -> None:
    """A version that serves under a name takes and answers what clients of that name have now."""
    try:
        now = Registry(settings.model_stores).resolve(manifest.name).manifest
    except NotFound:
        return
    differ = [
        what
        for what, is_other in (
            ("task", manifest.task != now.task),
            ("features", [each.name for each in manifest.features] != [each.name for each in now.features]),
            ("labels", manifest.labels != now.labels),
            ("quantity", _quantity(manifest) != _quantity(now)),
            ("inputs", _shapes(manifest.inputs) != _shapes(now.inputs)),
            ("outputs", _shapes(manifest.outputs) != _shapes(now.outputs)),
        )
        if is_other
    ]
    if differ and not is_breaking:
        raise InvalidInput.at(
            "--name",
            f"another name, or --breaking: {manifest.name} {now.version} has other {', '.join(differ)}",
            manifest.name,
        )


def _quantity(manifest: Manifest) -> tuple[str, str | None] | None:
    return None if manifest.quantity is None else (manifest.quantity.name, manifest.quantity.unit)


def _shapes(specs: Any) -> list[Any]:
    return [(spec.name, spec.shape, spec.dtype) for spec in specs]


def _show_imported(answered: Answered, manifest: Manifest, folder: Path | None, *, as_json: bool) -> None:
    if as_json:
        told = {
            "name": manifest.name,
            "version": manifest.version if folder else None,
            "folder": str(folder) if folder else None,
            "notes": answered.notes,
            "manifest": json.loads(manifest.to_json()),
        }
        click.echo(json.dumps(told))
        return
    for note in answered.notes:
        click.echo(f"  {note}")
    for line in _lines_of(manifest):
        click.echo(line)
    if folder is None:
        click.echo("Nothing was published: --dry-run.")
    else:
        click.echo(f"{manifest.name} version {manifest.version} serves as {STABLE} now: {folder}")


def _lines_of(manifest: Manifest) -> list[str]:
    lines = [
        f"{manifest.name} version {manifest.version}: {manifest.title}",
        f"  task      {manifest.task}, by the {manifest.runner} runner",
    ]
    for kind, specs in (("takes", manifest.inputs), ("gives", manifest.outputs)):
        lines += [f"  {kind}     {spec.name} {_shape(spec.shape)} {spec.dtype}" for spec in specs]
    if manifest.features:
        lines.append(f"  features  {', '.join(each.name for each in manifest.features)}")
    if manifest.image is not None:
        image = manifest.image
        lines.append(
            f"  images    {image.width} x {image.height} {image.mode}, pixel x {image.scale:g} + {image.offset:g}"
        )
    if manifest.labels:
        shown_labels = ", ".join(manifest.labels[:10]) + (", …" if len(manifest.labels) > 10 else "")
        lines.append(f"  labels    {shown_labels}")
    if manifest.quantity is not None:
        lines.append(f"  answers   {manifest.quantity.label}, in {manifest.quantity.unit or 'no unit'}")
    if manifest.source is not None:
        lines.append(f"  from      {manifest.source.file} ({manifest.source.producer})")
    if manifest.parity is not None:
        parity = manifest.parity
        lines.append(
            f"  parity    {parity.max_abs_difference:.1e} at most, on {parity.inputs:,} {parity.drawn} inputs"
        )
    return [*lines, f"  made      {_time(manifest.created)}"]


def _shape(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _say(text: str) -> None:
    click.echo(text, err=True)
