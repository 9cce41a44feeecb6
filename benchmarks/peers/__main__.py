"""Measures other servers of models and this one, one after another, in turns: make bench-peers."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks import calls, load
from benchmarks.inputs import MODELS, model_file
from benchmarks.interactive import check, told
from benchmarks.load import Call
from benchmarks.machine import machine
from benchmarks.memory import descendants, total_mib
from benchmarks.peers import plot
from benchmarks.peers.catalogue import OWN, PEERS, Peer
from benchmarks.peers.comparison import Comparison, Measured
from benchmarks.peers.servers import ROOT, server
from benchmarks.processor import busy_cores, used_s
from benchmarks.quantized import int8_store
from benchmarks.services import embedded, over_rabbitmq
from testing.processes import ServiceError
from testing.rabbitmq import find_rabbitmq, rabbitmq_node

WARM_UP_S = 3
REQUIREMENTS = ROOT / "requirements" / "peers"
NAMES = OWN | {peer.key: peer.name for peer in PEERS}
EVERYONE = list(NAMES)


@dataclass(frozen=True)
class Running:
    """What is sent to a server that runs, and all its processes."""

    call: Call
    pids: Callable[[], list[int]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be measured."""

    rounds: int
    seconds: int
    connections: Sequence[int]
    models: Sequence[str]
    only: Sequence[str]
    settings: Mapping[str, Mapping[str, Any]]
    workers: int
    store: Path | None = None


def _numbers(_: click.Context, __: click.Parameter, text: str) -> list[int]:
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", text):
        raise click.BadParameter("whole numbers, separated by commas")
    return [int(part) for part in text.split(",")]


def _settings(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        key, value = text.split("=", 1) if "=" in text else (text, "")
        try:
            found[key] = dict(json.loads(value))
        except ValueError as exc:
            raise click.BadParameter(f'like litserve={{"max_batch_size": 8}}, not {text}') from exc
    return found


@click.command()
@click.option("--rounds", default=3, show_default=True, help="How often each is measured; medians are told.")
@click.option("--seconds", default=5, show_default=True, help="How long each point is measured.")
@click.option(
    "--connections", default="1,32,64,256", show_default=True, callback=_numbers, help="The points."
)
@click.option(
    "--models", multiple=True, type=click.Choice(MODELS), default=MODELS, help="This one; else all."
)
@click.option(
    "--only", multiple=True, type=click.Choice(EVERYONE), default=EVERYONE, help="This one; else all."
)
@click.option(
    "--settings",
    multiple=True,
    callback=_settings,
    help='Others than the best: litserve={"max_batch_size": 1}; capitals are variables of its environment.',
)
@click.option("--workers", default=1, show_default=True, help="Workers of Celeriac over RabbitMQ.")
@click.option(
    "--int8",
    is_flag=True,
    help="Everyone serves the version of fashion_mnist that `models quantize` makes, and nothing else.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print all that was measured instead of Markdown tables."
)
@click.option(
    "--plot", "picture", type=click.Path(path_type=Path), help="Draw the comparison into this SVG file."
)
def main(*, as_json: bool, picture: Path | None, int8: bool, **asked: Any) -> None:
    """Compare Celeriac with other servers on this machine, all with the same ONNX file and the same load."""
    # First: nothing that fails may fail behind half an hour of measuring.
    where, made_from = machine(), versions()
    with tempfile.TemporaryDirectory(prefix="celeriac-bench-") as folder:
        if int8:
            asked |= {"models": ["fashion_mnist"], "store": int8_store(Path(folder))}
        comparison = Comparison(_measure(Asked(**asked)))
    if picture:
        plot.draw(comparison, picture)
    if as_json:
        found = {
            "machine": where,
            "versions": made_from,
            "measured": [each.as_dict() for each in comparison.measured],
        }
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(f"{json.dumps(where)}\n{json.dumps(made_from)}\n\n{comparison.tables()}")


def versions() -> dict[str, str]:
    """What of everyone is measured, by what its environment is made from."""
    found: dict[str, str] = {}
    for peer in PEERS:
        pinned = dict(
            re.findall(
                r"^([\w-]+)(?:\[.*?\])?==(\S+)",
                (REQUIREMENTS / f"{peer.server}.txt").read_text(),
                re.MULTILINE,
            )
        )
        found |= {name: pinned[name] for name in (*peer.packages, "onnxruntime")}
    return found


def _measure(asked: Asked) -> Iterator[Measured]:
    """Each round each server of each model; what does not start is told, and is not there in the comparison."""
    for number in range(1, asked.rounds + 1):
        for model in asked.models:
            for key in asked.only:
                try:
                    yield from _one(asked, number, model, key)
                except ServiceError as exc:
                    click.echo(f"{key} {model}: {exc}", err=True)


def _one(asked: Asked, number: int, model: str, key: str) -> Iterator[Measured]:
    name = NAMES[key]
    others = busy_cores(0.5)
    with _ours(asked, key, model) if key in OWN else _peer(asked, _of(key), model) as running:
        load.run(running.call, connections=32, seconds=WARM_UP_S)
        for connections in asked.connections:
            before_s = used_s(running.pids())
            got = load.run(running.call, connections=connections, seconds=asked.seconds)
            pids = running.pids()
            click.echo(f"round {number}: {name} {model} {told(got)}", err=True)
            yield Measured(name, model, number, got, total_mib(pids), used_s(pids) - before_s, others)


@contextlib.contextmanager
def _ours(asked: Asked, key: str, model: str) -> Iterator[Running]:
    """The service as `make run` starts it with a BROKER_URL (a web process and workers), or without; both models."""
    settings = {"MODEL_STORE": str(asked.store)} if asked.store else {}
    with over_rabbitmq(asked.workers, **settings) if key == "ours" else embedded(**settings) as service:
        check(service, asked.store)
        yield Running(calls.tensor_in_json(service.url, model), lambda: descendants(service.pid))


@contextlib.contextmanager
def _peer(asked: Asked, peer: Peer, model: str) -> Iterator[Running]:
    with contextlib.ExitStack() as stack:
        url = ""
        if peer.needs_broker:
            url = stack.enter_context(rabbitmq_node(_rabbitmq())).url()
        started = stack.enter_context(
            server(peer, model, model_file(model, asked.store), asked.settings.get(peer.key, {}), url)
        )
        yield Running(started.call, started.pids)


def _of(key: str) -> Peer:
    return next(peer for peer in PEERS if peer.key == key)


def _rabbitmq() -> str:
    found = find_rabbitmq()
    if found is None:
        raise ServiceError("RabbitMQ must be installed: `make test` does that where it may")
    return found


if __name__ == "__main__":
    main()
