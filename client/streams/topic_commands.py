"""The commands about topics: make what streams read and write, list it, delete it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from client.exits import EPILOG, SOME_FAILED
from client.options import Talk, talk
from client.output import print_lines, print_note, print_table
from client.streams import opening
from client.streams.address import Broker
from client.streams.messages import Topic
from client.streams.options import with_properties
from client.streams.properties import read_properties

if TYPE_CHECKING:
    from collections.abc import Sequence

_BROKER = "kafka://HOST:PORT|pubsub://PROJECT"


@click.group(epilog=EPILOG)
def topics() -> None:
    """Make, list and delete topics of Kafka, and of Pub/Sub with their subscriptions.

    \b
    Examples
      topics create kafka://127.0.0.1:9092 patients answers refused --partitions 8
      topics create pubsub://my-project patients answers
      topics list kafka://127.0.0.1:9092
    """


@topics.command(epilog=EPILOG)
@click.argument("broker", metavar=_BROKER)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--partitions",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Of Kafka: so many processes can share a topic.  [default: the broker's]",
)
@click.option(
    "--replication",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Of Kafka: on so many brokers each message is kept.  [default: the broker's]",
)
@with_properties
@talk
def create(
    options: Talk, broker: str, names: tuple[str, ...], *,
    partitions: int | None, replication: int | None, properties: tuple[str, ...],
) -> None:  # fmt: skip
    """Have topics; what is there already stays as it is. Of Pub/Sub each gets a subscription of its name.

    \b
    Examples
      topics create kafka://127.0.0.1:9092 patients answers refused --partitions 8
      topics create kafka://kafka.example.org:9093 patients --replication 3 --options kafka.properties
      topics create pubsub://my-project patients answers
    """
    at = Broker.read(broker)
    places = [at.place(name) for name in names]
    with opening.topics(at, read_properties(properties)) as known:
        made = {
            each.name: known.create(each.name, partitions=partitions, replication=replication)
            for each in places
        }
        there = {topic.name: topic for topic in known.list()}
    # A cluster tells of a topic a moment after it is made.
    found = [there.get(name, Topic(name=name, partitions=partitions)) for name in made]
    told = [asdict(topic) | {"created": made[topic.name]} for topic in found]
    options.show({"topics": told}, lambda: print_lines(_said(each, is_new=made[each.name]) for each in found))
    # Keys would go to other partitions than before if some were added: that is not done on the way.
    if any(not made[each.name] and partitions not in (None, each.partitions) for each in found):
        print_note(f"not {partitions} partitions: nothing is changed of a topic that there is")
        raise click.exceptions.Exit(SOME_FAILED)


@topics.command("list", epilog=EPILOG)
@click.argument("broker", metavar=_BROKER)
@with_properties
@talk
def list_topics(options: Talk, broker: str, *, properties: tuple[str, ...]) -> None:
    """List topics: of Kafka with partitions and replicas, of Pub/Sub with subscriptions.

    \b
    Examples
      topics list kafka://127.0.0.1:9092
      topics list pubsub://my-project --json
    """
    at = Broker.read(broker)
    with opening.topics(at, read_properties(properties)) as known:
        found = known.list()
    told = {"topics": [asdict(topic) for topic in found]}
    options.show(told, lambda: _print(found, is_kafka=at.kind == "kafka"))


@topics.command(epilog=EPILOG)
@click.argument("broker", metavar=_BROKER)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_properties
@talk
def delete(
    options: Talk, broker: str, names: tuple[str, ...], *, yes: bool, properties: tuple[str, ...]
) -> None:
    """Delete topics with all that is in them, of Pub/Sub also the subscriptions of their names.

    \b
    Examples
      topics delete kafka://127.0.0.1:9092 patients answers refused
    """
    at = Broker.read(broker)
    places = [at.place(name) for name in names]
    if not yes:
        click.confirm(f"Delete {', '.join(names)} at {at} with all that is in them?", abort=True, err=True)
    with opening.topics(at, read_properties(properties)) as known:
        gone = {each.name: known.delete(each.name) for each in places}
    words = {True: "deleted", False: "there is none: nothing is changed"}
    told = {"topics": [{"name": name, "deleted": is_gone} for name, is_gone in gone.items()]}
    options.show(told, lambda: print_lines(f"{name}: {words[is_gone]}" for name, is_gone in gone.items()))


def _said(topic: Topic, *, is_new: bool) -> str:
    what = f", with {topic.partitions} partitions" if topic.partitions else ""
    what += f", with the subscription {', '.join(topic.subscriptions)}" if topic.subscriptions else ""
    return f"{topic.name}: {'created' if is_new else 'is there already'}{what}"


def _print(found: Sequence[Topic], *, is_kafka: bool) -> None:
    if is_kafka:
        rows = [(each.name, str(each.partitions), str(each.replication or "")) for each in found]
        print_table(("TOPIC", "PARTITIONS", "REPLICAS"), rows)
    else:
        print_table(
            ("TOPIC", "SUBSCRIPTIONS"), [(each.name, ", ".join(each.subscriptions)) for each in found]
        )
