"""`python -m production_server audit`: who did what, and who was not let in, read on the machine itself."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime

import click

from production_server.access.audit import Act, Line, Wanted, every_line
from production_server.run.state import open_database
from production_server.settings import Settings


@click.command("audit")
@click.option("--client", help="Only what this client did.")
@click.option("--act", type=click.Choice([act.value for act in Act]), help="Only this.")
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    help="Only what happened from then on, in UTC.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.pass_obj
def show_audit(
    settings: Settings, *, client: str | None, act: str | None, since: datetime | None, as_json: bool
) -> None:
    """Show who did what with keys and what belongs to others, and who was not let in; the newest first."""
    since_s = None if since is None else since.replace(tzinfo=UTC).timestamp()
    with closing(open_database(settings)) as database:
        for line in every_line(database, Wanted(client=client, act=act, since=since_s)):
            click.echo(_as_json(line) if as_json else _as_text(line))


def _as_json(line: Line) -> str:
    return json.dumps({"id": str(line.id), "at": _time(line).isoformat(timespec="seconds"), **line.members})


def _as_text(line: Line) -> str:
    request = f" [{line.by.request_id}]" if line.by.request_id else ""
    return f"{_time(line):%Y-%m-%d %H:%M:%S} {line}{request}"


def _time(line: Line) -> datetime:
    return datetime.fromtimestamp(line.at, UTC)
