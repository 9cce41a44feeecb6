"""What a command that makes a version tells of it: the version, the gate's report, and whether it serves."""

from __future__ import annotations

import json

import click

from production_server.learning.imports import Admitted
from production_server.learning.report import Report
from production_server.models.channels import STABLE
from production_server.run.brought_files import say
from production_server.run.manifest_lines import lines_of
from production_server.serving.serving import Serving


def show_refused(report: Report, *, as_json: bool) -> None:
    """All that the gate says, where it does not let a version through: the error tells only what has failed."""
    if report.has_passed:
        return
    if as_json:
        told = {"name": report.model, "version": None, "report": report.model_dump(mode="json")}
        click.echo(json.dumps(told))
    else:
        say("\n".join(report.lines()))


def how_it_serves(serving: Serving, admitted: Admitted) -> str:
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


def show_admitted(admitted: Admitted, serves: str, *, as_json: bool) -> None:
    """What was made and found out; `serves` says when it does, empty: not by itself."""
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
