"""The commands about labels: ask for questions, answer them, bring labels in and out, keep them as sets."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from client.errors import InputError
from client.exits import EPILOG, SOME_FAILED
from client.files import replaced
from client.label_calls import Labels, label_sets
from client.options import Shared, shared
from client.output import print_facts, print_lines, print_note, print_table
from client.uploads import Upload

if TYPE_CHECKING:
    from client.answers import Decision, ImportedLabels, LabelProgress, LabelSet, Question

FILES = {
    "csv": "labels.csv",
    "jsonl": "labels.jsonl",
    "zip": "labels.zip",
    "coco": "coco.json",
    "label-studio": "label-studio.json",
}
"""What a file is, and what the server calls it."""
SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".zip": "zip"}


@click.group(epilog=EPILOG)
def label() -> None:
    """Say what items show, and bring labels in and out. A key needs the scope label.

    \b
    Examples
      label next fashion_mnist --count 5
      label decide fashion_mnist 0198c5d2-7c1e-7000-8000-000000000000 3 Bag
      label export fashion_mnist --output labels.csv
      label import fashion_mnist photos.zip
      label keep fashion_mnist november
    """


@label.command("next", epilog=EPILOG)
@click.argument("model")
@click.option(
    "--order",
    type=click.Choice(["margin", "random", "newest", "second"]),
    default="margin",
    show_default=True,
    help="Which comes first: the least sure answer, any, the latest, or what somebody else has labelled.",
)
@click.option("--count", type=click.IntRange(1, 10), default=1, show_default=True, help="So many questions.")
@shared
def ask(options: Shared, model: str, *, order: str, count: int) -> None:
    """Show questions, which nobody else is asked for five minutes.

    \b
    Examples
      label next fashion_mnist
      label next fashion_mnist --order newest --count 10 --json
    """
    with options.connect() as server:
        found = Labels(server, model).next(order=order, count=count)
    options.show({"questions": [asdict(each) for each in found]}, lambda: _print_questions(found))


@label.command(epilog=EPILOG)
@click.argument("model")
@click.argument("job_id", metavar="JOB")
@click.argument("index", type=click.IntRange(min=0))
@click.argument("answer", metavar="[LABEL]", required=False)
@click.option(
    "--kind",
    type=click.Choice(["label", "reject", "ignore", "skip"]),
    default="label",
    show_default=True,
    help="That it is this label, is not, is to be left out, or nothing.",
)
@click.option("--new", is_flag=True, help="Take labels that the model does not have.")
@shared
def decide(options: Shared, model: str, job_id: str, index: int, answer: str | None, **said: Any) -> None:
    """Say what an item of a job is. Without LABEL, what the model has answered is meant.

    \b
    Examples
      label decide fashion_mnist 0198c5d2-7c1e-7000-8000-000000000000 3
      label decide fashion_mnist 0198c5d2-7c1e-7000-8000-000000000000 3 Bag
      label decide fashion_mnist 0198c5d2-7c1e-7000-8000-000000000000 3 --kind reject
    """
    with options.connect() as server:
        made = Labels(server, model).decide(
            job_id, index, kind=said["kind"], label=answer, is_new=said["new"]
        )
    options.show(asdict(made), lambda: _print_decision(made))


@label.command(epilog=EPILOG)
@click.argument("model")
@shared
def undo(options: Shared, model: str) -> None:
    """Take back what you have said last.

    \b
    Examples
      label undo fashion_mnist
    """
    with options.connect() as server:
        made = Labels(server, model).undo()
    options.show(asdict(made), lambda: _print_decision(made))


@label.command(epilog=EPILOG)
@click.argument("model")
@shared
def progress(options: Shared, model: str) -> None:
    """Show how much is left, how accurate the model is, and how far people agree.

    \b
    Examples
      label progress fashion_mnist
    """
    with options.connect() as server:
        found = Labels(server, model).progress()
    options.show(asdict(found), lambda: _print_progress(found))


@label.command(epilog=EPILOG)
@click.argument("model")
@click.option(
    "--output", "path", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Where to; its suffix says what it is: .csv, .jsonl or .zip (a folder of pictures for each label).",
)  # fmt: skip
@click.option(
    "--format", "kind", type=click.Choice(list(FILES)), help="What it is to be, whatever its suffix."
)
@click.option("--set", "of_set", metavar="NAME", help="The labels of a set, not those of now.")
@shared
def export(options: Shared, model: str, *, path: Path, kind: str | None, of_set: str | None) -> None:
    """Write the labels of a model to a file, which replaces what was there when all of it has come.

    \b
    Examples
      label export fashion_mnist --output labels.csv
      label export fashion_mnist --output coco.json --format coco
      label export fashion_mnist --output november.zip --set november
    """
    kind = kind or SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise InputError(
            f"{path}: expected .csv, .jsonl or .zip, or --format, got {path.suffix or 'no suffix'}"
        )
    with options.connect() as server, replaced(path) as file:
        Labels(server, model).export(FILES[kind], file, of_set=of_set)
    if not options.is_quiet:
        print_note(f"written to {path}")


@label.command("import", epilog=EPILOG)
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--format", "kind", type=click.Choice(list(FILES)), help="What FILE is.  [default: as it looks]"
)
@click.option("--new", is_flag=True, help="Take labels that the model does not have.")
@shared
def bring(options: Shared, model: str, file: Path, *, kind: str | None, new: bool) -> None:
    """Send a file of labels: CSV, lines of JSON, COCO, Label Studio's tasks, or a zip of pictures by label.

    Lines that cannot be stored are told, and keep none of the others back.

    \b
    Examples
      label import fashion_mnist labels.csv
      label import fashion_mnist photos.zip --new
    """
    fields = ({"format": kind} if kind else {}) | ({"new": "true"} if new else {})
    with options.connect() as server:
        made = Labels(server, model).bring(Upload(file, part="file"), fields)
    options.show(asdict(made), lambda: _print_imported(made))
    if made.refused:
        raise click.exceptions.Exit(SOME_FAILED)


@label.command(epilog=EPILOG)
@click.argument("model")
@click.argument("name")
@shared
def keep(options: Shared, model: str, name: str) -> None:
    """Keep the labels of a model as they stand as the set NAME, to train on: --data labels:NAME.

    \b
    Examples
      label keep fashion_mnist november
    """
    with options.connect() as server:
        made = Labels(server, model).keep(name)
    options.show(asdict(made), lambda: _print_sets([made]))


@label.command(epilog=EPILOG)
@shared
def sets(options: Shared) -> None:
    """List sets of labels.

    \b
    Examples
      label sets
    """
    with options.connect() as server:
        found = label_sets(server)
    options.show({"sets": [asdict(each) for each in found]}, lambda: _print_sets(found))


def _print_questions(found: list[Question]) -> None:
    if not found:
        print_note("nothing is left")
        return
    rows = [
        (
            each.job,
            str(each.index),
            each.name or each.url or "",
            ", ".join(f"{choice.label} {choice.score:.1%}" for choice in each.choices),
            each.chosen,
        )
        for each in found
    ]
    print_table(("job", "index", "item", "answers", "chosen"), rows)


def _print_decision(made: Decision) -> None:
    said = f"{made.kind} {made.label}" if made.label else made.kind
    print_facts({"decision": str(made.id), "item": f"{made.job} {made.index}", "said": said, "by": made.who})


def _print_progress(found: LabelProgress) -> None:
    accuracy = [
        f"version {each.version}: {each.share:.1%} ({each.low:.1%} to {each.high:.1%}), of {each.of} drawn at random"
        for each in found.accuracy
    ]
    agreement = found.agreement
    kappa = "" if agreement.kappa is None else f", kappa {agreement.kappa:.2f}"
    print_facts(
        {
            "left": f"{found.left}{'' if found.is_all else ' or more'}",
            "labelled": str(found.labelled),
            "yours": f"{found.mine}, {found.per_minute} in the last minute",
            "accuracy": "; ".join(accuracy),
            "agreement": f"{agreement.equal} of {agreement.items}{kappa}" if agreement.items else None,
        }
    )


def _print_imported(made: ImportedLabels) -> None:
    counts = {"stored": str(made.stored), "unchanged": str(made.unchanged), "refused": str(made.refused)}
    print_facts({**counts, "job": made.job})
    print_lines(str(each) for each in made.faults)


def _print_sets(found: list[LabelSet]) -> None:
    rows = [(each.name, each.model, str(each.items), each.digest, each.created) for each in found]
    print_table(("name", "model", "items", "digest", "created"), rows)
