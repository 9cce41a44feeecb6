"""`python -m production_server models`: foreign files into versions; which of them serve is in `serving_commands`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from production_server.delivery.descriptions import DESCRIPTION_FILE, description_beside, read_description
from production_server.learning.imports import Admitted, Destination, import_through_gate
from production_server.learning.report import Report, allowed_by
from production_server.models.channels import STABLE
from production_server.models.importing.described import Described
from production_server.models.importing.process import Asked
from production_server.models.importing.said import checked_name
from production_server.models.importing.uploads import Part, Uploads
from production_server.run.logs import quiet_audit
from production_server.run.manifest_lines import lines_of
from production_server.run.opened_serving import opened_serving
from production_server.run.serving_commands import AS_JSON, BREAKING, DESPITE_CHECK, SERVING_COMMANDS
from production_server.serving.serving import Serving
from production_server.settings import Settings
from production_server.storage.storage import Storage
from production_server.worker.import_files import fetch_file

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class _Source(click.Path):
    """A path that exists, or an address."""

    name = "file or address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        if isinstance(value, str) and "://" in value:
            return value
        return Path(str(super().convert(value, param, ctx)))


@click.group("models")
@click.pass_context
def model_commands(context: click.Context) -> None:
    """Bring models of your own in, and say which of their versions serve."""
    quiet_audit(context)


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
@click.argument("file", type=_Source(exists=True))
@click.option("--name", required=True, help="What the model is to be called.")
@_described
@click.option(
    "--weights",
    type=_Source(exists=True, dir_okay=False),
    help="The weights (.h5) of an architecture (model.json).",
)
@click.option("--signature", help="Which signature of a SavedModel.  [default: serving_default]")
@click.option(
    "--sample",
    type=_Source(exists=True),
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
    sources: dict[Part, Path | str | None] = {"model": file, "weights": weights, "sample": sample}
    with _fetched(settings, sources) as found, opened_serving(settings) as serving:
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
            _say,
            allowed=allowed_by(breaking=breaking, despite=despite),
            is_dry_run=dry_run,
            report_to=partial(_show_refused, as_json=as_json),
        )
        serves = _how_it_serves(serving, admitted)
    _show_imported(admitted, serves, as_json=as_json)


@contextmanager
def _fetched(settings: Settings, sources: Mapping[Part, Path | str | None]) -> Iterator[dict[Part, Path]]:
    """Where the files are; those that are addresses are here until the block ends.

    Raises:
        CeleriacError: as `fetch_file`.
    """
    storage = Storage(settings.storage_allow)
    found: dict[Part, Path] = {}
    try:
        with Uploads.of(settings).incoming(most_bytes=settings.import_file_bytes) as files:
            for part, source in sources.items():
                if isinstance(source, str):
                    found[part] = fetch_file(storage, files, part, source, _say)
                elif source is not None:
                    found[part] = source
            yield found
    finally:
        storage.close()


def _described_by(describe: Path | None, file: Path, said: dict[str, Any]) -> Described:
    """What stands in model.yaml, and above it what the options say."""
    path = describe or description_beside(file.absolute())
    if path is not None:
        _say(f"Reading {path}")
    return read_description(path, said)


def _show_refused(report: Report, *, as_json: bool) -> None:
    """All that the gate says, where it does not let a version through: the error tells only what has failed."""
    if report.has_passed:
        return
    if as_json:
        told = {"name": report.model, "version": None, "report": report.model_dump(mode="json")}
        click.echo(json.dumps(told))
    else:
        _say("\n".join(report.lines()))


def _how_it_serves(serving: Serving, admitted: Admitted) -> str:
    """When what was published just now serves as stable, for people; empty: it does not."""
    made = admitted.made
    if made.folder is None:
        return ""
    serving.known.look_again()
    serving.registry.look_again()
    name, number = made.manifest.name, made.manifest.version
    if serving.registry.channels(name).get(STABLE) == number:
        return "now"
    return "as soon as every worker has loaded it" if serving.registry.next_stable(name) == number else ""


def _show_imported(admitted: Admitted, serves: str, *, as_json: bool) -> None:
    made = admitted.made
    manifest, folder = made.manifest, made.folder
    if as_json:
        told = {
            "name": manifest.name,
            "version": manifest.version if folder else None,
            "folder": str(folder) if folder else None,
            "serves": bool(serves),
            "notes": made.notes,
            "report": admitted.report.model_dump(mode="json"),
            "manifest": json.loads(manifest.to_json()),
        }
        click.echo(json.dumps(told))
        return
    for note in made.notes:
        click.echo(f"  {note}")
    for line in (*lines_of(manifest), *admitted.report.lines()):
        click.echo(line)
    if folder is None:
        click.echo("Nothing was published: --dry-run.")
        return
    named = f"{manifest.name} version {manifest.version}"
    if serves:
        click.echo(f"{named} serves as {STABLE} {serves}: {folder}")
    else:
        click.echo(
            f"{named} is there and not serving, {STABLE} is another one: promote it "
            f"(models promote {manifest.name} {manifest.version}): {folder}"
        )


def _say(text: str) -> None:
    click.echo(text, err=True)
