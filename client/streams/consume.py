"""The command consume: shows results of a stream as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from client.exits import EPILOG, SOME_FAILED
from client.options import Talk, setting, talk
from client.output import on_one_line, print_note
from client.streams import opening
from client.streams.address import Place
from client.streams.answer_lines import CsvLines, JsonLines, TableLines
from client.streams.consuming import Received, receive
from client.streams.options import with_properties
from client.streams.properties import read_properties
from client.streams.status_line import status_line

if TYPE_CHECKING:
    from client.streams.answer_lines import AnswerLines
    from client.streams.messages import Reader


@click.command(epilog=EPILOG)
@click.argument("place", metavar="kafka://HOST:PORT/TOPIC|pubsub://PROJECT/SUBSCRIPTION")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of a table.")
@click.option("--from-beginning", is_flag=True, help="Of Kafka: also what is there already.")
@click.option(
    "--group",
    metavar="NAME",
    help="Of Kafka: share what comes with others of this group, and go on where it was.  [default: read all]",
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many.")
@setting(
    "--timeout",
    env="TIMEOUT",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End after so long; that fewer than --count came is an error.",
)
@with_properties
@talk
def consume(options: Talk, place: str, **arguments: Any) -> None:
    """Show results as they come, refused messages with the reason: of a topic of results or of dead letters.

    Latency is from when a request was sent to when its result came to the topic, where the id of the request says when
    it was sent, as produce's do. What comes twice is shown once. With --json, a line for each.

    \b
    Examples
      consume kafka://127.0.0.1:9092/answers
      consume kafka://127.0.0.1:9092/answers --from-beginning --count 1000 --timeout 60 --csv >answers.csv
      consume kafka://127.0.0.1:9092/answers --group archive --json >>answers.jsonl
      consume pubsub://my-project/answers --json
    """
    if arguments["as_csv"] and options.as_json:
        raise click.UsageError("of --csv and --json only one goes")
    topic, properties = Place.read(place), read_properties(arguments["properties"])
    received = Received()
    with opening.reader(
        topic, properties, group=arguments["group"], from_beginning=arguments["from_beginning"]
    ) as reader:
        if not options.is_quiet:
            print_note(f"{topic}: waiting for what comes; Ctrl-C ends")
        lines: AnswerLines = (
            CsvLines() if arguments["as_csv"] else JsonLines() if options.as_json else TableLines()
        )
        try:
            with status_line(lambda: _standing(received, reader), is_quiet=options.is_quiet) as watch:
                for answers in receive(
                    reader, received, count=arguments["count"], timeout_s=arguments["timeout"]
                ):
                    lines.print(answers)
                    watch()
        finally:
            if not options.is_quiet:
                print_note(f"{topic}: {received.summary()}")
    if not received.are_all_well:
        raise click.exceptions.Exit(SOME_FAILED)


def _standing(received: Received, reader: Reader) -> str:
    return received.line() + (f"; {on_one_line(reader.fault)}" if reader.fault else "")
