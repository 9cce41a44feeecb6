"""The command line for predictions, and for all that a server can do beside them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from client import output
from client.answers import Submitted
from client.buckets.inject import inject, scans
from client.buckets.notify import notify
from client.exits import EPILOG, SOME_FAILED, run
from client.importing import import_model, imports
from client.labelling import label
from client.naming import personas
from client.options import NumbersCommand, Shared, shared, timeout, version, which_model
from client.results import Destination, show_results
from client.streams.consume import consume
from client.streams.produce import produce
from client.streams.topic_commands import topics
from client.submission import Submission
from client.training import train, training_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

P = ParamSpec("P")
R = TypeVar("R")


def result_file_option(help_text: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """--output FILE."""
    path = click.Path(path_type=Path, dir_okay=False)
    return click.option("--output", "result_file", type=path, metavar="FILE", help=help_text)


@click.group(epilog=EPILOG)
@version
def cli() -> None:
    """Get predictions from a Celeriac server.

    \b
    Examples
      predict --model diabetes 6 148 72 35 0 33.6 0.627 50
      predict --model fashion_mnist shoe.png bag.png
      predict --model diabetes --csv patients.csv --output scored.csv
      jobs
      models diabetes
      import iris.onnx --name iris
      inject s3://photos/incoming --model mobilenet --pattern '*.jpg'
      label next fashion_mnist
      personas groups
      topics create kafka://127.0.0.1:9092 images answers --partitions 8
      produce kafka://127.0.0.1:9092/images --model fashion_mnist images/*.png
      consume kafka://127.0.0.1:9092/answers
      train iris
      notify s3://photos --suffix .jpg --to https://celeriac.example.org/events/s3
    """


cli.add_command(consume)
cli.add_command(import_model)
cli.add_command(imports)
cli.add_command(inject)
cli.add_command(label)
cli.add_command(notify)
cli.add_command(personas)
cli.add_command(produce)
cli.add_command(scans)
cli.add_command(topics)
cli.add_command(train)
cli.add_command(training_runs)


@cli.command(cls=NumbersCommand, epilog=EPILOG)
@click.argument("inputs", nargs=-1)
@which_model
@click.option(
    "--csv", "table", type=click.Path(path_type=Path), metavar="FILE", help="Many rows: a CSV file."
)
@result_file_option("Write the results to a .csv or .json file.")
@click.option(
    "--truths",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What is true of images: a CSV file with a first line file,label.",
)
@click.option("--recursive", is_flag=True, help="Look for images in the folders of a folder, too.")
@click.option("--no-wait", is_flag=True, help="Print the job's ID and do not wait for its results.")
@timeout
@shared
def predict(options: Shared, inputs: tuple[str, ...], **arguments: Any) -> None:
    """Predict for one row of numbers, for images, for tensors, or for a table.

    INPUTS are numbers in the order of the model's features, or name=number pairs, or images: files, folders, patterns;
    or files of items: .npz and .npy with arrays of tensors, .json with a list of whatever the model takes.

    \b
    Examples
      predict --model diabetes 6 148 72 35 0 33.6 0.627 50
      predict --model diabetes pregnancies=6 glucose=148 blood_pressure=72 ...
      predict --model fashion_mnist shoe.png bag.png
      predict --model fashion_mnist --recursive photos/ --output labels.json
      predict --model diabetes --csv patients.csv --output scored.csv
      predict --model diabetes --csv patients.csv --no-wait
      predict --model embedder items.npz --output vectors.json
    """
    submission = Submission(
        inputs,
        table=arguments["table"],
        is_recursive=arguments["recursive"],
        truths=arguments["truths"],
    )
    fields = {
        name: arguments[name] for name in ("model", "version", "priority") if arguments[name] is not None
    }
    destination = Destination(arguments["result_file"], table=submission.table, names=submission.names)
    with options.connect() as server, destination.open(server, model=fields["model"]):
        submitted = submission.send(server, fields, waits=not arguments["no_wait"])
        if arguments["no_wait"]:
            options.show(asdict(submitted.job), lambda: click.echo(submitted.job.id))
            return
        is_complete = show_results(
            server, submitted, options, destination=destination, timeout_s=arguments["timeout"]
        )
    if not is_complete:
        raise click.exceptions.Exit(SOME_FAILED)


@cli.command(epilog=EPILOG)
@click.argument("job_id", required=False, metavar="[ID]")
@click.option("--cancel", is_flag=True, help="Cancel what has not run of the job.")
@click.option("--wait", is_flag=True, help="Wait for the job's results and print them.")
@result_file_option("Wait for the job's results and write them to a .csv or .json file.")
@click.option("--model", metavar="NAME", help="List the jobs of one model.")
@click.option(
    "--state", type=click.Choice(["queued", "running", "finished", "cancelled"]), help="List only these."
)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="List so many.")
@timeout
@shared
def jobs(options: Shared, job_id: str | None, **arguments: Any) -> None:
    """List jobs, newest first; or show one, cancel it, or pick up its results.

    \b
    Examples
      jobs
      jobs --state running --limit 100
      jobs 0198c5d2-7c1e-7000-8000-000000000000
      jobs 0198c5d2-7c1e-7000-8000-000000000000 --cancel
      jobs 0198c5d2-7c1e-7000-8000-000000000000 --output scored.csv
    """
    waits = arguments["wait"] or arguments["result_file"] is not None
    if job_id is None and (arguments["cancel"] or waits):
        raise click.UsageError("--cancel, --wait and --output need the ID of a job")
    with options.connect() as server:
        if job_id is None:
            found = server.jobs(**{name: arguments[name] for name in ("model", "state", "limit")}).jobs
            options.show({"jobs": [asdict(job) for job in found]}, lambda: output.print_jobs(found))
            return
        job = server.cancel(job_id) if arguments["cancel"] else server.job(job_id)
        if not waits:
            options.show(asdict(job), lambda: output.print_job(job))
            return
        destination = Destination(arguments["result_file"])
        with destination.open(server, model=job.model):
            is_complete = show_results(
                server, Submitted(job), options, destination=destination, timeout_s=arguments["timeout"]
            )
    if not is_complete:
        raise click.exceptions.Exit(SOME_FAILED)


@cli.command(epilog=EPILOG)
@click.argument("name", required=False, metavar="[NAME]")
@shared
def models(options: Shared, name: str | None) -> None:
    """List the models; or show what one takes, what it answers, and how good it was found to be.

    \b
    Examples
      models
      models diabetes
      models diabetes --json
    """
    with options.connect() as server:
        if name is None:
            found = server.models()
            options.show({"models": [asdict(model) for model in found]}, lambda: output.print_models(found))
        else:
            model = server.model(name)
            options.show(asdict(model), lambda: output.print_model(model))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and answer its exit code."""
    return run(cli, arguments, name="python -m client")


if __name__ == "__main__":
    sys.exit(main())
