"""`python -m production_server keys`: making, listing and revoking API keys on the machine itself."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import click

from production_server.access import keys
from production_server.access.key_text import id_of, new_key
from production_server.access.records import KeyInfo, NewKey
from production_server.access.scopes import USUAL, Scope, scopes_of
from production_server.run.logs import quiet_audit
from production_server.run.opened_serving import user_acting
from production_server.run.state import open_database
from production_server.settings import Settings

DAY_S = 86_400
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("keys")
@click.pass_context
def key_commands(context: click.Context) -> None:
    """Make, list, replace and revoke API keys.

    As long as there is none, the service asks nobody for one, and listens on this machine alone.
    """
    quiet_audit(context)


@key_commands.command()
@click.argument("name")
@click.option("--client", help="Whose it is: jobs and results belong to clients.  [default: NAME]")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=[scope.value for scope in USUAL],
    show_default=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it lets its client do; may be given several times. admin includes all.",
)
@click.option("--days", type=float, help="After how many days it expires.  [default: never]")
@AS_JSON
@click.pass_obj
def create(
    settings: Settings,
    *,
    name: str,
    client: str | None,
    scopes: tuple[str, ...],
    days: float | None,
    as_json: bool,
) -> None:
    """Make a key, and show it: this once, for only its SHA-256 is stored."""
    wanted = NewKey(
        name=name,
        client=client or name,
        scopes=scopes_of(scopes, field="--scope"),
        expires_in_s=None if days is None else days * DAY_S,
    )
    with closing(open_database(settings)) as database:
        _show_new(*keys.create_key(database, wanted, by=user_acting()), as_json=as_json)


@key_commands.command()
def generate() -> None:
    """Print a key that is stored nowhere, for a line of API_KEYS_FILE."""
    click.echo(new_key())


@key_commands.command("list")
@AS_JSON
@click.pass_obj
def list_all(settings: Settings, *, as_json: bool) -> None:
    """Show all keys, the newest first."""
    with closing(open_database(settings)) as database:
        found = keys.list_keys(database)
    if as_json:
        click.echo(json.dumps([_told(key) for key in found]))
        return
    if not found:
        click.echo("There are no keys: nobody needs one.")
        return
    rows: list[tuple[str, ...]] = [("key", "name", "client", "scopes", "made", "expires", "revoked", "used")]
    for key in found:
        times = (key.created_at, key.expires_at, key.revoked_at, key.used_at)
        rows.append((f"{key.id}…", key.name, key.client, " ".join(sorted(key.scopes)), *map(_minute, times)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@key_commands.command()
@click.argument("key_id", metavar="KEY")
@AS_JSON
@click.pass_obj
def revoke(settings: Settings, *, key_id: str, as_json: bool) -> None:
    """Have KEY open nothing any more, within a second.

    KEY is its first twelve characters, as `list` shows them, or all of it.
    """
    with closing(open_database(settings)) as database:
        revoked = keys.revoke_key(database, id_of(key_id), by=user_acting())
    click.echo(
        json.dumps(_told(revoked)) if as_json else f"{revoked.id}… ({revoked.name}) opens nothing any more."
    )


@key_commands.command()
@click.argument("key_id", metavar="KEY")
@click.option(
    "--overlap", "overlap_days", default=1.0, show_default=True, type=click.FloatRange(0, 30),
    help="For how many days KEY still opens what it opened.",
)  # fmt: skip
@AS_JSON
@click.pass_obj
def rotate(settings: Settings, *, key_id: str, overlap_days: float, as_json: bool) -> None:
    """Make a key that may do the same as KEY, which expires soon."""
    with closing(open_database(settings)) as database:
        made, text = keys.rotate_key(
            database, id_of(key_id), overlap_s=overlap_days * DAY_S, by=user_acting()
        )
    _show_new(made, text, as_json=as_json)


def _show_new(made: KeyInfo, text: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"key": text, **_told(made)}))
        return
    click.echo(text)
    scopes = ", ".join(sorted(made.scopes))
    click.echo(f"{made.name} of {made.client}: {scopes}. It is shown this once; send it as", err=True)
    click.echo(f"  Authorization: Bearer {made.id}…", err=True)


def _told(key: KeyInfo) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "client": key.client,
        "scopes": sorted(key.scopes),
        "created": _time(key.created_at),
        "expires": _time(key.expires_at),
        "revoked": _time(key.revoked_at),
        "used": _time(key.used_at),
    }


def _time(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _minute(at: float | None) -> str:
    return "–" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
