"""`python -m production_server models`: foreign files into versions, and what versions there are."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from production_server.errors import InvalidInput
from production_server.learning.imports import Admitted, import_through_gate
from production_server.learning.report import DESPITE, Report, allowed_by, read_report
from production_server.models.importing.described import Described
from production_server.models.importing.process import Asked
from production_server.models.importing.said import checked_name, described_by, split_names
from production_server.models.manifest import Manifest
from production_server.models.registry import STABLE, Registry
from production_server.settings import Settings
from production_server.sources.written_yaml import read_yaml

DESCRIPTION_FILE = "model.yaml"
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
            "--threshold", type=float, help="From which probability on the second label is the answer."
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
    "--describe",
    type=_FILE,
    help=f"What the file cannot tell.  [default: its name with .yaml beside it, else {DESCRIPTION_FILE}]",
)
@click.option(
    "--breaking", is_flag=True, help="Take other inputs or answers than the model's versions now have."
)
@click.option(
    "--despite",
    multiple=True,
    type=click.Choice([check.value for check in DESPITE]),
    help="A check of the gate that it may fail; may come several times.",
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
    despite: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    **said: Any,
) -> None:
    """Make FILE a version that serves: ONNX, .keras, .h5, model.json with --weights, or a SavedModel.

    What it is for is found out from the file, from a sample, from model.yaml beside it, and from the options. Servers
    that run notice the version within a second.
    """
    asked = Asked(
        file=file,
        name=checked_name(name),
        described=_read_description(describe, file, said),
        weights=weights,
        sample=sample,
        signature=signature,
    )
    admitted = import_through_gate(
        asked,
        settings,
        _say,
        allowed=allowed_by(breaking=breaking, despite=despite),
        is_dry_run=dry_run,
        report_to=partial(_show_refused, as_json=as_json),
    )
    _show_imported(admitted, as_json=as_json)


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
    if as_json:
        click.echo(found.manifest.to_json())
        return
    report = read_report(found.folder)
    click.echo("\n".join([*_lines_of(found.manifest), *(report.lines() if report else ())]))


def _read_description(describe: Path | None, file: Path, said: dict[str, Any]) -> Described:
    """What stands in model.yaml, and above it what the options say.

    Raises:
        SettingsError: it is not YAML. InvalidInput: it says what cannot be said.
    """
    path = describe or _description_beside(file.absolute())
    values: Any = {}
    if path is not None:
        _say(f"Reading {path}")
        written = read_yaml(path.read_text(encoding="utf-8"), source=str(path))
        values = written.value or {}
        if not isinstance(values, dict):
            raise InvalidInput.at(str(path), "names with values, as title: My model", "something else")
        values = {**values, **_labels_beside(values, path.parent)}
    given = {**said, "labels": None if said["labels"] is None else _read_labels(said["labels"], Path())}
    return described_by(values, given, whole=str(path))


def _description_beside(file: Path) -> Path | None:
    """A file's own description, `iris.yaml` of `iris.onnx`; else that of all files in its folder."""
    own = file.parent / f"{file.name if file.is_dir() else file.stem}.yaml"
    return next((path for path in (own, file.parent / DESCRIPTION_FILE) if path.is_file()), None)


def _labels_beside(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """`labels: classes.txt` names a file beside the description."""
    labels = values.get("labels")
    return {"labels": _read_labels(labels, folder)} if isinstance(labels, str) else {}


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


def _show_refused(report: Report, *, as_json: bool) -> None:
    """All that the gate says, where it does not let a version through: the error tells only what has failed."""
    if report.has_passed:
        return
    if as_json:
        told = {"name": report.model, "version": None, "report": report.model_dump(mode="json")}
        click.echo(json.dumps(told))
    else:
        _say("\n".join(report.lines()))


def _show_imported(admitted: Admitted, *, as_json: bool) -> None:
    made = admitted.made
    manifest, folder = made.manifest, made.folder
    if as_json:
        told = {
            "name": manifest.name,
            "version": manifest.version if folder else None,
            "folder": str(folder) if folder else None,
            "notes": made.notes,
            "report": admitted.report.model_dump(mode="json"),
            "manifest": json.loads(manifest.to_json()),
        }
        click.echo(json.dumps(told))
        return
    for note in made.notes:
        click.echo(f"  {note}")
    for line in (*_lines_of(manifest), *admitted.report.lines()):
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
