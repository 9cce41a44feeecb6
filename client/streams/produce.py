"""The command produce: sends images, rows, tables and items to a stream, and tells what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from client.errors import InputError
from client.exits import EPILOG, SOME_FAILED
from client.options import NumbersCommand, Talk, setting, talk
from client.output import print_error, print_lines, print_note
from client.streams import opening
from client.streams.address import Place
from client.streams.carrying import Bucket, Carrier
from client.streams.options import with_properties
from client.streams.producing import Sent, repeated, send_all
from client.streams.properties import read_properties
from client.streams.requests import Inputs, TableRows
from client.streams.status_line import status_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from client.streams.messages import Outgoing
    from client.streams.requests import Payload

_COUNT = click.IntRange(min=1)


@click.command(cls=NumbersCommand, epilog=EPILOG)
@click.argument("place", metavar="kafka://HOST:PORT/TOPIC|pubsub://PROJECT/TOPIC")
@click.argument("inputs", nargs=-1)
@setting("--model", env="MODEL", metavar="NAME", help="The model to ask, where the stream is for several.")
@setting("--version", env="MODEL_VERSION", metavar="N", help="A version or a channel of it.")
@click.option("--csv", "table", type=click.Path(path_type=Path), metavar="FILE", help="Rows of a CSV file.")
@click.option(
    "--rows", type=_COUNT, default=1, show_default=True, help="So many rows of --csv in one message."
)
@click.option(
    "--header/--no-header",
    "has_header",
    default=None,
    help="Whether the first line of --csv has names.  [default: if none of its cells is a number]",
)
@click.option("--recursive", is_flag=True, help="Look for images in the folders of a folder, too.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="So many messages each second."
)
@click.option("--count", type=_COUNT, metavar="N", help="Send so many messages and end.")
@click.option("--loop", "is_loop", is_flag=True, help="Begin again at the end, with new ids.")
@click.option(
    "--by",
    "bucket",
    metavar="s3://BUCKET/PREFIX",
    help="Put what is too large for a message there, and send its address; the service must be allowed to read it.",
)
@click.option(
    "--over", type=click.IntRange(min=0), metavar="BYTES",
    help="What is too large for a message.  [default: what the broker does not take]",
)  # fmt: skip
@with_properties
@talk
def produce(options: Talk, place: str, inputs: tuple[str, ...], **arguments: Any) -> None:
    """Send requests to a stream, each with an id of its own, which its result has, too.

    INPUTS are those of predict: images (files, folders, patterns), numbers, or files of items in JSON. With --json a
    line for each message says its id, what is in it, and where it lies.

    \b
    Examples
      produce kafka://127.0.0.1:9092/images --model fashion_mnist images/*.png
      produce kafka://127.0.0.1:9092/patients --csv patients.csv --rate 10 --loop
      produce kafka://127.0.0.1:9092/patients --csv patients.csv --rows 100 --json >sent.jsonl
      produce kafka://kafka.example.org:9093/images photos/ --options kafka.properties --by s3://photos/large
      produce pubsub://my-project/patients 6 148 72 35 0 33.6 0.627 50
    """
    topic, properties = Place.read(place), read_properties(arguments["properties"])
    payloads = _payloads(inputs, arguments)
    bucket = None if arguments["bucket"] is None else Bucket.open(arguments["bucket"])
    sent = Sent(_total(payloads, arguments))
    try:
        with status_line(sent.line, is_quiet=options.is_quiet) as watch:
            report = _Report(sent, watch, as_json=options.as_json)
            with opening.writer(topic, properties, report.told) as writer:
                over = writer.most_bytes if arguments["over"] is None else arguments["over"]
                carrier = Carrier(_asked(arguments), min(over, writer.most_bytes), bucket)
                wanted = repeated(payloads, is_loop=arguments["is_loop"], count=arguments["count"])
                send_all(writer, wanted, carrier.message, rate=arguments["rate"], fail=report.failed)
    finally:
        _tell(sent, topic, is_quiet=options.is_quiet)
    if sent.failed:
        raise click.exceptions.Exit(SOME_FAILED)


@dataclass(frozen=True)
class _Report:
    """Counts what became of each message, and prints it as a line of JSON if that is wanted."""

    sent: Sent
    watch: Callable[[], None]
    as_json: bool

    def told(self, message: Outgoing, place: str, reason: str) -> None:
        self.sent.count(message, reason)
        self._print(id=message.id, name=message.name, place=place or None, error=reason or None)

    def failed(self, payload: Payload, reason: str) -> None:
        self.sent.fail(f"{payload.name}: {reason}")
        self._print(id=None, name=payload.name, place=None, error=reason)

    def _print(self, **told: str | None) -> None:
        self.watch()
        if self.as_json:
            print_lines([json.dumps(told, ensure_ascii=False)])


def _payloads(inputs: Sequence[str], arguments: Mapping[str, Any]) -> Inputs | TableRows:
    if bool(inputs) == (arguments["table"] is not None):
        raise InputError("give either inputs or --csv FILE: see --help for examples")
    if arguments["table"] is not None:
        return TableRows(arguments["table"], rows=arguments["rows"], has_header=arguments["has_header"])
    return Inputs(inputs, is_recursive=arguments["recursive"])


def _total(payloads: Inputs | TableRows, arguments: Mapping[str, Any]) -> int | None:
    """How many there will be; None: nobody knows."""
    if arguments["is_loop"]:
        return cast("int | None", arguments["count"])
    known = len(payloads) if isinstance(payloads, Inputs) else None
    return min((each for each in (known, arguments["count"]) if each is not None), default=None)


def _asked(arguments: Mapping[str, Any]) -> Mapping[str, str]:
    return {name: arguments[name] for name in ("model", "version") if arguments[name] is not None}


def _tell(sent: Sent, topic: Place, *, is_quiet: bool) -> None:
    if not is_quiet and (sent.delivered or sent.failed):
        print_note(f"{topic}: {sent.line()}")
    for reason, count in sent.reasons.most_common():
        print_error(f"{count:,} not sent: {reason}" if count > 1 else f"not sent: {reason}")
