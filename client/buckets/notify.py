"""The command notify: has a bucket tell a Celeriac of new objects, shows whom it tells, and has it stop."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import click

from client.buckets import notifying as notifications
from client.buckets.notification import KINDS, Filter, Notification, service_of
from client.errors import InputError
from client.exits import EPILOG
from client.options import Talk, setting, talk
from client.output import print_lines, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.buckets.store import BucketStore

INSTALL = "make client CLIENT_SET=client-notify, or pip install -r requirements/client-notify.txt"
_SECRETLESS = "--to needs the token that the server has as EVENTS_TOKEN: put it into CELERIAC_EVENTS_TOKEN"


def _pairs(ctx: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE, several times."""
    parted = [each.partition("=") for each in given]
    if not all(name and value for name, _, value in parted):
        raise click.BadParameter("expected NAME=VALUE, both of them not empty", ctx=ctx, param=parameter)
    names = [name.lower() for name, _, _ in parted] if parameter.name == "metadata" else None
    return dict(zip(names or [name for name, _, _ in parted], (value for *_, value in parted), strict=True))


def _bucket(ctx: click.Context, parameter: click.Parameter, given: str) -> str:
    """s3://BUCKET."""
    found = re.fullmatch(r"s3://([^/]+)/?", given)
    if not found:
        raise click.BadParameter(
            "expected s3://BUCKET; what its keys begin with goes to --prefix", ctx=ctx, param=parameter
        )
    return found[1]


def _address(ctx: click.Context, parameter: click.Parameter, given: str | None) -> str | None:
    """An http:// or https:// URL without a secret. What is wrong with it is said without repeating it."""
    if given is None:
        return None
    try:
        parts = urlsplit(given)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or not given.isprintable() or " " in given:
        raise click.BadParameter("expected http://HOST:PORT/events/s3", ctx=ctx, param=parameter)
    if "@" in parts.netloc or "token" in dict(parse_qsl(parts.query, keep_blank_values=True)):
        raise click.BadParameter(
            "the token belongs into CELERIAC_EVENTS_TOKEN, not into the address", ctx=ctx, param=parameter
        )
    return given


def _arn(ctx: click.Context, parameter: click.Parameter, given: str | None) -> str | None:
    if given is not None and service_of(given) not in KINDS:
        raise click.BadParameter(
            "expected the ARN of an SNS topic, an SQS queue or a Lambda function", ctx=ctx, param=parameter
        )
    return given


def _name(ctx: click.Context, parameter: click.Parameter, given: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", given):
        raise click.BadParameter("expected letters, digits, - and _, at most 64", ctx=ctx, param=parameter)
    return given


@click.command(epilog=EPILOG)
@click.argument("bucket", metavar="s3://BUCKET", callback=_bucket)
@click.option("--to", "address", metavar="URL", callback=_address, help="The /events/s3 of a Celeriac: Ceph.")
@click.option(
    "--topic",
    metavar="ARN",
    callback=_arn,
    help="An SNS topic, SQS queue or Lambda function that there is: AWS, MinIO and others.",
)
@click.option("--prefix", metavar="TEXT", default="", help="Only keys that begin so.")
@click.option("--suffix", metavar="TEXT", default="", help="Only keys that end so; case counts.")
@click.option("--regex", metavar="REGEX", default="", help="Only keys that match as a whole: Ceph.")
@click.option(
    "--metadata",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_pairs,
    help="Only objects that were uploaded with it; several times: Ceph.",
)
@click.option(
    "--tag",
    "tags",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_pairs,
    help="Only objects that were uploaded with it; several times: Ceph.",
)
@click.option(
    "--name", default="celeriac", show_default=True, callback=_name, help="What the notification is called."
)
@click.option("--remove", is_flag=True, help="Remove the notification, and the topic that --to made.")
@setting(
    "--token",
    env="EVENTS_TOKEN",
    metavar="TOKEN",
    help="What the server has as EVENTS_TOKEN; better given by the variable.",
)
@click.option(
    "--endpoint-url", metavar="URL", help="Where the store is; else AWS_ENDPOINT_URL, or the profile, says."
)
@talk
def notify(options: Talk, bucket: str, **arguments: Any) -> None:
    """Have a bucket tell a Celeriac of new objects; show whom it tells; have it stop.

    With --to, the store posts to the Celeriac itself, until each event is taken (Ceph). With --topic, it tells a topic,
    a queue or a function that there is. Without either, the bucket's notifications are shown. Credentials, profile and
    region are those of the AWS tools. A second run with the same arguments changes nothing; with others it changes
    the notification of that name, and no other.

    \b
    Examples
      notify s3://photos --suffix .jpg --to http://celeriac.example.org:5100/events/s3
      notify s3://photos --metadata camera=roof --name roof --to http://celeriac.example.org:5100/events/s3
      notify s3://photos --suffix .jpg --topic arn:aws:sns:eu-central-1:123456789012:photos
      notify s3://photos
      notify s3://photos --remove
    """
    rules = Filter(*(arguments[name] for name in ("prefix", "suffix", "regex", "metadata", "tags")))
    _check(rules, arguments)
    store = _open(arguments["endpoint_url"], secret=arguments["token"] or "")
    if arguments["remove"]:
        is_changed = notifications.remove(store, bucket, arguments["name"])
        _say(options, bucket, arguments["name"], state="removed" if is_changed else "absent")
    elif arguments["address"] or arguments["topic"]:
        is_changed = _set(store, bucket, rules, arguments)
        _say(options, bucket, arguments["name"], state="set" if is_changed else "unchanged")
    else:
        found = notifications.show(store, bucket)
        told = {"bucket": bucket, "notifications": [each.as_json() for each in found]}
        columns = ("NAME", "EVENTS", "OBJECTS", "TO")
        options.show(told, lambda: print_table(columns, [each.as_row() for each in found]))


def _check(rules: Filter, arguments: dict[str, Any]) -> None:
    """Refuse what does not go together.

    Raises:
        click.UsageError: of two options one is too many, or one is missing.
    """
    asked = [name for name in ("remove", "address", "topic") if arguments[name]]
    if len(asked) > 1:
        raise click.UsageError("of --to, --topic and --remove only one goes")
    if rules != Filter() and asked not in (["address"], ["topic"]):
        raise click.UsageError("which objects to tell of needs --to or --topic")
    if rules.is_ceph_only and arguments["topic"]:
        raise click.UsageError(
            "--regex, --metadata and --tag are Ceph's own: they go with --to, not with --topic"
        )
    if arguments["address"] and not arguments["token"]:
        raise click.UsageError(_SECRETLESS)


def _open(endpoint_url: str | None, *, secret: str) -> BucketStore:
    try:
        from client.buckets.store import BucketStore
    except ModuleNotFoundError as error:
        raise InputError(f"notify needs {error.name}, which is not installed: {INSTALL}") from error
    return BucketStore(endpoint_url, secret=secret)


def _set(store: BucketStore, bucket: str, rules: Filter, arguments: dict[str, Any]) -> bool:
    wanted = Notification(arguments["name"], arguments["topic"] or "", rules)
    if arguments["topic"]:
        return notifications.tell(store, bucket, wanted)
    return notifications.push(store, bucket, arguments["address"], token=arguments["token"], wanted=wanted)


def _say(options: Talk, bucket: str, name: str, *, state: str) -> None:
    sentence = {
        "set": "is set",
        "unchanged": "is set already: nothing is changed",
        "removed": "is removed",
        "absent": "does not exist: nothing is changed",
    }[state]
    told = {"bucket": bucket, "name": name, "state": state, "changed": state in {"set", "removed"}}
    options.show(told, lambda: print_lines([f"s3://{bucket}: the notification {name} {sentence}"]))
