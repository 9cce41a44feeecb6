"""`python -m production_server models`: foreign files into versions; which of them serve is in `serving_commands`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from production_server.delivery.descriptions import DESCRIPTION_FILE, description_beside, read_description
from production_server.learning.imports import Destination, import_through_gate
from production_server.learning.report import allowed_by
from production_server.models.importing.described import Described
from production_server.models.importing.process import Asked
from production_server.models.importing.said import checked_name
from production_server.run.admitted_lines import how_it_serves, show_admitted, show_refused
from production_server.run.brought_files import FileOrAddress, brought, say
from production_server.run.logs import quiet_audit
from production_server.run.opened_serving import opened_serving
from production_server.run.quantize_command import quantize
from production_server.run.serving_commands import AS_JSON, BREAKING, DESPITE_CHECK, SERVING_COMMANDS
from production_server.settings import Settings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("models")
@click.pass_context
def model_commands(context: click.Context) -> None:
    """Bring models of your own in, and say which of their versions serve."""
    quiet_audit(context)


for _each in (quantize, *SERVING_COMMANDS):
    model_commands.add_command(_each)


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
@click.argument("file", type=FileOrAddress(exists=True))
@click.option("--name", required=True, help="What the model is to be called.")
@_described
@click.option(
    "--weights",
    type=FileOrAddress(exists=True, dir_okay=False),
    help="The weights (.h5) of an architecture (model.json).",
)
@click.option("--signature", help="Which signature of a SavedModel.  [default: serving_default]")
@click.option(
    "--sample",
    type=FileOrAddress(exists=True),
    help="Rows in a CSV, or a folder (or a zip) with a folder of images for each label: tells names, ranges, labels.",
)
@click.option(
    "--describe",
    type=_FILE,
    help=f"What the file cannot tell.  [default: its name with .yaml beside it, else {DESCRIPTION_FILE}]",
)
@BREAKING
@DESPITE_CHECK
@click.option("--dry-run", is_flag=True, help="Do all of it, and publish nothing.")
@AS_JSON
@click.pass_obj
def import_model(  # noqa: PLR0913  # one argument per option
    settings: Settings,
    /,
    *,
    file: Path | str,
    name: str,
    weights: Path | str | None,
    signature: str | None,
    sample: Path | str | None,
    describe: Path | None,
    breaking: bool,
    despite: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    **said: Any,
) -> None:
    """Make FILE a version: ONNX, .keras, .h5, model.json with --weights, or a SavedModel.

    Its address will do where STORAGE_ALLOW names the bucket or folder, as for --weights and --sample.

    What it is for is found out from the file, from a sample, from model.yaml beside it, and from the options. Servers
    that run notice the version within a second. It serves at once, unless `promote` has said which version does.
    """
    with (
        brought(settings, {"model": file, "weights": weights, "sample": sample}) as found,
        opened_serving(settings) as serving,
    ):
        asked = Asked(
            file=found["model"],
            name=checked_name(name),
            described=_described_by(describe, found["model"], said),
            weights=found.get("weights"),
            sample=found.get("sample"),
            signature=signature,
        )
        above = serving.overview.highest_told(name)
        admitted = import_through_gate(
            asked,
            Destination(settings=settings, registry=serving.registry, above=above),
            say,
            allowed=allowed_by(breaking=breaking, despite=despite),
            is_dry_run=dry_run,
            report_to=partial(show_refused, as_json=as_json),
        )
        serves = how_it_serves(serving, admitted)
    show_admitted(admitted, serves, as_json=as_json)


def _described_by(describe: Path | None, file: Path, said: dict[str, Any]) -> Described:
    """What stands in model.yaml, and above it what the options say."""
    path = describe or description_beside(file.absolute())
    if path is not None:
        say(f"Reading {path}")
    return read_description(path, said)
