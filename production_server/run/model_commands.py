"""`python -m production_server models`: foreign files into versions; which of them serve is in `serving_commands`."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from production_server.access import audit
from production_server.errors import InvalidInput, NotFound
from production_server.models.channels import STABLE
from production_server.models.drafts import draft_version
from production_server.models.importing.described import Described
from production_server.models.importing.formats import Format, format_of
from production_server.models.importing.process import Answered, Asked, import_in_process
from production_server.models.manifest import Manifest, Source, digest_of, is_model_name
from production_server.models.registry import Registry
from production_server.run.manifest_lines import lines_of
from production_server.run.opened_serving import opened_serving
from production_server.run.serving_commands import AS_JSON, SERVING_COMMANDS
from production_server.serving.serving import Serving
from production_server.settings import Settings
from production_server.sources.written_yaml import read_yaml
from production_server.validation import faults_of

DESCRIPTION_FILE = "model.yaml"
_MOST_LABEL_BYTES = 2**22
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("models")
def model_commands() -> None:
    """Bring models of your own in, and say which of their versions serve."""
    # Whoever types it sees what it does; the table has the line.
    logging.getLogger(audit.__name__).setLevel(logging.WARNING)


for _each in SERVING_COMMANDS:
    model_commands.add_command(_each)


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
    """Make FILE a version: ONNX, .keras, .h5, model.json with --weights, or a SavedModel.

    What it is for is found out from the file, from a sample, from model.yaml beside it, and from the options. Servers
    that run notice the version within a second. It serves at once, unless `promote` has said which version does.
    """
    if not is_model_name(name):
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
    with opened_serving(settings) as serving:
        above = serving.overview.highest_told(name)
        with draft_version(store, name, others=others, above=above) as draft:
            answered = import_in_process(asked, draft.folder, _say)
            _check_signature(serving.registry, answered.manifest, is_breaking=breaking)
            update = {"version": draft.version, "files": draft.digests()}
            manifest = answered.manifest.model_copy(update=update)
            folder = None if dry_run else draft.publish(manifest, check=lambda _: None)
        number = folder.name if folder else manifest.version
        stable = _stable_now(serving, name) if folder else None
    manifest = manifest.model_copy(update={"version": number})
    _show_imported(answered, manifest, folder, stable, as_json=as_json)


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


def _check_signature(registry: Registry, manifest: Manifest, *, is_breaking: bool) -> None:
    """A version that serves under a name takes and answers what clients of that name have now."""
    try:
        now = registry.shown(manifest.name).manifest
    except NotFound:
        return
    differ = [
        what
        for what, is_other in (
            ("task", manifest.task != now.task),
            ("features", [each.name for each in manifest.features] != [each.name for each in now.features]),
            ("labels", manifest.labels != now.labels),
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


def _shapes(specs: Any) -> list[Any]:
    return [(spec.name, spec.shape, spec.dtype) for spec in specs]


def _stable_now(serving: Serving, model: str) -> str:
    """The number of the version that serves, after another one was published."""
    serving.known.look_again()
    return serving.registry.channels(model)[STABLE]


def _show_imported(
    answered: Answered, manifest: Manifest, folder: Path | None, stable: str | None, *, as_json: bool
) -> None:
    if as_json:
        told = {
            "name": manifest.name,
            "version": manifest.version if folder else None,
            "folder": str(folder) if folder else None,
            "serves": stable == manifest.version,
            "notes": answered.notes,
            "manifest": json.loads(manifest.to_json()),
        }
        click.echo(json.dumps(told))
        return
    for note in answered.notes:
        click.echo(f"  {note}")
    for line in lines_of(manifest):
        click.echo(line)
    if folder is None:
        click.echo("Nothing was published: --dry-run.")
        return
    named = f"{manifest.name} version {manifest.version}"
    if stable == manifest.version:
        click.echo(f"{named} serves as {STABLE} now: {folder}")
    else:
        click.echo(
            f"{named} is there and not serving, {STABLE} is version {stable}: promote it "
            f"(models promote {manifest.name} {manifest.version}): {folder}"
        )


def _say(text: str) -> None:
    click.echo(text, err=True)
