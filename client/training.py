"""The commands about training: train has a model learn from its labels, training-runs shows what came of it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from client.api import WHILE_FOLLOWING
from client.errors import Unavailable
from client.exits import EPILOG, SOME_FAILED
from client.options import Shared, shared, timeout
from client.output import print_facts, print_lines, print_table, printable
from client.training_calls import Trainings
from client.waiting import may_be_left, status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.answers import TrainingRun
    from client.api import Server

POLL_S = 0.5
_DOING = {
    "freeze": "keeping the labels as they stand",
    "train": "training",
    "import": "making a version of it",
    "roll_out": "rolling it out",
    "answer": "answering again",
}


@click.command(epilog=EPILOG)
@click.argument("model")
@click.option("--no-wait", is_flag=True, help="Print the run's ID and do not wait for its end.")
@timeout
@shared
def train(options: Shared, model: str, *, no_wait: bool, timeout: float | None) -> None:
    """Train MODEL again from its labels, now, by its policy on the server, and say what has changed.

    \b
    Examples
      train iris
      train iris --no-wait
    """
    with options.connect() as server:
        run = Trainings(server).begin(model)
        if no_wait:
            options.show(asdict(run), lambda: click.echo(run.id))
            return
        _follow(server, run, options, timeout_s=timeout)


@click.command("training-runs", epilog=EPILOG)
@click.argument("run_id", required=False, metavar="[ID]")
@click.option("--cancel", "act", flag_value="cancel", help="Have the run not go on.")
@click.option("--resume", "act", flag_value="resume", help="Have one go on that failed or was cancelled.")
@click.option("--log", "act", flag_value="log", help="Print the end of what its program wrote.")
@click.option("--wait", is_flag=True, help="Wait for the run's end.")
@click.option("--model", metavar="NAME", help="List the runs of one model.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="List so many.")
@timeout
@shared
def training_runs(options: Shared, run_id: str | None, **arguments: Any) -> None:
    """List training runs, newest first; or show one, cancel it, have it go on, wait for it, print its log.

    \b
    Examples
      training-runs --model iris
      training-runs 0198c5d2-7c1e-7000-8000-000000000000 --wait
      training-runs 0198c5d2-7c1e-7000-8000-000000000000 --log
      training-runs 0198c5d2-7c1e-7000-8000-000000000000 --resume --wait
    """
    act, waits = arguments["act"], arguments["wait"]
    if run_id is None and (act or waits):
        raise click.UsageError("--cancel, --resume, --log and --wait need the ID of a training run")
    if act == "log" and waits:
        raise click.UsageError("--log prints what is there: it does not go with --wait")
    with options.connect() as server:
        known = Trainings(server)
        if run_id is None:
            found = known.all(model=arguments["model"], limit=arguments["limit"])
            options.show({"runs": [asdict(each) for each in found]}, lambda: _print_runs(found))
            return
        if act == "log":
            text = known.log(run_id)
            options.show({"log": text}, lambda: print_lines(printable(text).splitlines()))
            return
        acts = {"cancel": known.cancel, "resume": known.resume, None: known.run}
        run = acts[act](run_id)
        if waits:
            _follow(server, run, options, timeout_s=arguments["timeout"])
        else:
            options.show(asdict(run), lambda: _print_run(run))


def _follow(server: Server, run: TrainingRun, options: Shared, *, timeout_s: float | None) -> None:
    """Tell what is being done until the run is over, and what came of it.

    Raises:
        Unavailable: it is not over within the time given; it goes on.
    """
    server.patience = WHILE_FOLLOWING
    known, started = Trainings(server), time.monotonic()
    with (
        may_be_left(options, "The training run", f"training-runs {run.id} --wait"),
        status(options) as tell,
    ):
        while not run.is_over:
            tell(_doing(run))
            if timeout_s is not None and time.monotonic() + POLL_S > started + timeout_s:
                raise Unavailable(f"the training run is not over within {timeout_s:g} s")
            time.sleep(POLL_S)
            run = known.run(run.id)
    options.show(asdict(run), lambda: _print_run(run))
    if not run.is_success:
        raise click.exceptions.Exit(SOME_FAILED)


def _doing(run: TrainingRun) -> str:
    return run.doing or _DOING.get(run.step, run.step)


def _print_runs(found: Sequence[TrainingRun]) -> None:
    rows = (
        (each.id, each.state, each.step, each.model, each.version or "", _changed(each) or "", each.began)
        for each in found
    )
    print_table(("ID", "STATE", "STEP", "MODEL", "VERSION", "CHANGED", "BEGAN"), rows)


def _print_run(run: TrainingRun) -> None:
    labels = f"{run.labels}, of which {run.held_out} were kept from training" if run.labels else None
    print_facts(
        {
            "run": run.id,
            "state": run.state,
            "step": run.step,
            "doing": None if run.is_over else _doing(run),
            "model": run.model,
            "why": {"hand": "by hand", "time": "by time", "labels": "new labels"}.get(run.why, run.why),
            "labels": labels,
            "version": run.version,
            "changed": _changed(run),
            "error": None if run.error is None else str(run.error),
            "began": run.began,
            "ended": run.ended,
            "page": run.links.get("page"),
        }
    )


def _changed(run: TrainingRun) -> str | None:
    told = run.changed
    if told is None:
        return None
    return (
        f"{told.changed} of {told.answered} answers, {told.agree_now} now agree with you, "
        f"{told.agree_no_more} no longer"
    )
