"""The commands about models of one's own: import has a version made of a file, imports shows what came of it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from client.api import WHILE_FOLLOWING
from client.errors import InputError, Unavailable
from client.exits import EPILOG, SOME_FAILED
from client.options import Shared, shared, timeout
from client.output import print_facts, print_table
from client.uploads import Upload
from client.waiting import may_be_left, status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from client.answers import ModelImport
    from client.api import Server

POLL_S = 0.5
URLS = {"file": "url", "weights": "weights_url", "sample": "sample_url"}
_SAID: Mapping[str, str] = {
    "title": "What people see.  [default: the name]",
    "task": "What it is for, such as tabular_classification.  [default: as it looks]",
    "labels": "Names of what it chooses from, with commas between them.",
    "features": "Names of the columns, with commas between them.",
    "target": "Column of the sample that holds what is true.",
    "quantity": "Name of what a regression answers.",
    "unit": "Its unit.",
    "activation": "What is put behind the output: softmax, sigmoid or none.",
    "threshold": "From which probability on the second label is the answer.",
    "top": "How many of its best labels a job keeps of an item.",
    "signature": "Which signature of a SavedModel.",
}


def _said(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what a file cannot tell; each is a field of the form."""
    for name, what in reversed(list(_SAID.items())):
        command = click.option(f"--{name}", help=what)(command)
    return command


@click.command("import", epilog=EPILOG)
@click.argument("file", metavar="FILE")
@click.option("--name", required=True, metavar="NAME", help="What the model is to be called.")
@click.option("--weights", metavar="FILE", help="The weights (.h5) of an architecture (model.json).")
@click.option(
    "--sample", metavar="FILE", help="Rows in a CSV, or a zip with a folder of images for each label."
)
@click.option(
    "--describe",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="What the file cannot tell, as a JSON object.",
)
@_said
@click.option("--breaking", is_flag=True, help="Take other inputs or answers than its versions now have.")
@click.option(
    "--despite",
    multiple=True,
    type=click.Choice(["metrics", "latency", "memory"]),
    help="A check of the gate that it may fail; may come several times.",
)
@click.option("--dry-run", is_flag=True, help="Do all of it, and publish nothing.")
@click.option("--no-wait", is_flag=True, help="Print the import's ID and do not wait for the version.")
@timeout
@shared
def import_model(options: Shared, file: str, **arguments: Any) -> None:
    """Make FILE the next version of a model of the server's.

    FILE is ONNX, .keras, .h5, a zip of a SavedModel or of ONNX with the files beside it, or model.json with --weights.
    Where it lies in a bucket that the server may read, its address will do, as for --weights and --sample.

    \b
    Examples
      import iris.onnx --name iris --sample rows.csv --target kind
      import model.json --weights model.h5 --name mine
      import s3://models/iris.onnx --name iris --dry-run
    """
    sources = {"file": file, "weights": arguments["weights"], "sample": arguments["sample"]}
    given = {part: source for part, source in sources.items() if source is not None}
    urls = {URLS[part]: source for part, source in given.items() if "://" in source}
    uploads = [Upload(Path(source), part=part) for part, source in given.items() if "://" not in source]
    with options.connect() as server:
        made = server.start_import(_fields(arguments) | urls, uploads)
        if arguments["no_wait"]:
            options.show(asdict(made), lambda: click.echo(made.id))
            return
        _follow(server, made, options, timeout_s=arguments["timeout"])


@click.command(epilog=EPILOG)
@click.argument("import_id", required=False, metavar="[ID]")
@click.option("--cancel", is_flag=True, help="Have the file become no version.")
@click.option("--wait", is_flag=True, help="Wait until it is a version, or will be none.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="List so many.")
@timeout
@shared
def imports(options: Shared, import_id: str | None, **arguments: Any) -> None:
    """List imports, newest first; or show, cancel, wait for one.

    \b
    Examples
      imports
      imports 0198c5d2-7c1e-7000-8000-000000000000 --wait
      imports 0198c5d2-7c1e-7000-8000-000000000000 --cancel
    """
    if import_id is None and (arguments["cancel"] or arguments["wait"]):
        raise click.UsageError("--cancel and --wait need the ID of an import")
    with options.connect() as server:
        if import_id is None:
            found = server.imports(limit=arguments["limit"])
            options.show({"imports": [asdict(each) for each in found]}, lambda: _print_imports(found))
            return
        made = server.cancel_import(import_id) if arguments["cancel"] else server.model_import(import_id)
        if arguments["wait"]:
            _follow(server, made, options, timeout_s=arguments["timeout"])
        else:
            options.show(asdict(made), lambda: _print_import(made))


def _fields(arguments: Mapping[str, Any]) -> dict[str, str]:
    texts = {name: arguments[name] for name in ("name", *_SAID) if arguments[name] is not None}
    flags = {name: "true" for name in ("breaking", "dry_run") if arguments[name]}
    despite = {"despite": ",".join(arguments["despite"])} if arguments["despite"] else {}
    return texts | flags | despite | _description(arguments["describe"])


def _description(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    expected = "expected a JSON object in UTF-8 (the server's own `models import` reads YAML as well)"
    try:
        text = path.read_text(encoding="utf-8")
        described = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: {expected}, got something else") from error
    if not isinstance(described, dict):
        raise InputError(f"{path}: {expected}, got something else")
    return {"describe": text}


def _follow(server: Server, made: ModelImport, options: Shared, *, timeout_s: float | None) -> None:
    """Tell what is being done until the import is over, and what came of it.

    Raises:
        Unavailable: it is not over within the time given; it goes on.
    """
    server.patience = WHILE_FOLLOWING
    started = time.monotonic()
    with may_be_left(options, "The import", f"imports {made.id} --wait"), status(options) as tell:
        while not made.is_over:
            tell(made.doing)
            if timeout_s is not None and time.monotonic() + POLL_S > started + timeout_s:
                raise Unavailable(f"the import is not over within {timeout_s:g} s")
            time.sleep(POLL_S)
            made = server.model_import(made.id)
    options.show(asdict(made), lambda: _print_import(made))
    if not made.is_success:
        raise click.exceptions.Exit(SOME_FAILED)


def _print_imports(found: Sequence[ModelImport]) -> None:
    columns = ("ID", "STATE", "MODEL", "VERSION", "FILE", "CREATED")
    print_table(
        columns,
        (
            (each.id, each.state, each.model, each.version or "", each.file, each.created or "")
            for each in found
        ),
    )


def _print_import(made: ModelImport) -> None:
    print_facts(
        {
            "import": made.id,
            "state": made.state + (", a dry run" if made.dry_run else ""),
            "doing": made.doing,
            "model": made.model,
            "version": made.version,
            "file": made.file,
            "error": None if made.error is None else str(made.error),
            "created": made.created,
            "finished": made.finished,
        }
    )
    for note in made.notes:
        print_facts({"note": note})
