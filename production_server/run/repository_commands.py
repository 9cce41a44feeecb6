"""`python -m production_server repository`: the git repository that versions are pushed to, and its hooks."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from production_server.access.records import Actor, is_client_name
from production_server.delivery.git import Git
from production_server.delivery.pushes import Delivery, RefUpdate
from production_server.delivery.repository import (
    PUSHER_VARIABLE,
    kept_environment,
    make_repository,
    open_repository,
    repository_of,
    serve,
)
from production_server.errors import CeleriacError, Fault, SettingsError
from production_server.run.logs import quiet_audit
from production_server.run.opened_serving import opened_serving, user_acting
from production_server.settings import Settings
from production_server.shown import describe, visible

LINE_CHARACTERS = 72
"""git puts `remote: ` before each line of a hook."""
_PATH = click.argument("path", required=False, type=click.Path(file_okay=False, path_type=Path))


@click.group("repository")
@click.pass_context
def repository_commands(context: click.Context) -> None:
    """Take versions of models by `git push`.

    PATH is where the repository is.  [default: MODELS_REPOSITORY, else models.git under STATE_DIR]
    """
    quiet_audit(context)


@repository_commands.command()
@_PATH
@click.pass_obj
def init(settings: Settings, *, path: Path | None) -> None:
    """Make the repository, or bring what is there to how it has to be, and print where it is.

    What hooks need of the settings, DATABASE_URL as well, is kept in a file in it that only its owner can read. What
    stands there already stays, where the environment says nothing else.
    """
    where = _where(settings, path)
    make_repository(where, settings, {**kept_environment(where), **os.environ})
    click.echo(where)


@repository_commands.command("serve")
@_PATH
@click.pass_obj
def serve_client(settings: Settings, *, path: Path | None) -> None:
    """Let an SSH key push to the repository and fetch from it, and do nothing else: its forced command.

    What git client asks for is in SSH_ORIGINAL_COMMAND; who it is may be in CELERIAC_PUSHER.
    """
    serve(_where(settings, path), os.environ)


@repository_commands.command(hidden=True)
@click.argument("name", type=click.Choice(["pre-receive", "post-receive"]))
@_PATH
@click.pass_obj
def hook(settings: Settings, *, name: str, path: Path | None) -> None:
    """What git calls before and after it moves the branch."""
    logging.getLogger().setLevel(logging.CRITICAL)
    if name == "pre-receive":
        with _refusing():
            updates, by = RefUpdate.read(sys.stdin.readlines()), _pusher()
            with _opened(settings, path, _say) as delivery:
                delivery.receive(updates, by)
        return
    updates = RefUpdate.read(sys.stdin.readlines())
    with _telling(), _opened(settings, path, _say_if_possible) as delivery:
        delivery.deliver(updates, _pusher())


@repository_commands.command()
@_PATH
@click.pass_obj
def reconcile(settings: Settings, *, path: Path | None) -> None:
    """Finish pushes whose hook died: publish what passed, and promote it. A service that runs does so by itself.

    What somebody has promoted or rolled back since stays. Exit code 1: something is left, and why.
    """
    with _opened(settings, path, click.echo) as delivery:
        left = delivery.reconcile()
    for push in left:
        click.echo(f"{push.commit[:8]} is not over yet", err=True)
    sys.exit(1 if left else 0)


@repository_commands.command()
@_PATH
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def status(settings: Settings, *, path: Path | None, as_json: bool) -> None:
    """Show what main is at, what of it serves, and what waits."""
    with _opened(settings, path, click.echo) as delivery:
        main, found = delivery.git.main(), list(delivery.status())
        subject = delivery.git.subject(main) if main else ""
    if as_json:
        told = {"commit": main, "subject": subject, "models": [asdict(each) for each in found]}
        click.echo(json.dumps(told))
        return
    click.echo(f"main is at {main[:8]}: {subject}" if main else "Nobody has pushed anything yet.")
    for each in found:
        came = (
            f"version {each.version or '–'} of {each.commit[:8]}, {each.state}"
            if each.commit
            else "no push is known"
        )
        serves = f"version {each.serves} serves" if each.serves else "nothing serves"
        click.echo(f"  {each.model}: {serves}; {came}{f': {each.told}' if each.told else ''}")


def _where(settings: Settings, path: Path | None) -> Path:
    return path.absolute() if path is not None else repository_of(settings)


@contextmanager
def _opened(settings: Settings, path: Path | None, say: Callable[[str], None]) -> Iterator[Delivery]:
    git: Git = open_repository(_where(settings, path))
    with opened_serving(settings) as serving:
        yield Delivery(settings, serving, git, say)


def _pusher() -> Actor:
    """Whose key it is, or who types this.

    Raises:
        SettingsError: the key names somebody as no client may be called.
    """
    name = os.environ.get(PUSHER_VARIABLE, "")
    if not name:
        return user_acting()
    if not is_client_name(name):
        raise SettingsError((Fault(PUSHER_VARIABLE, "the name of a client", describe(name)),))
    return Actor(name)


@contextmanager
def _refusing() -> Iterator[None]:
    """Have whatever happens refuse the push, in a sentence."""
    try:
        yield
    except BrokenPipeError:
        os._exit(1)  # Nobody is there any more who pushes.
    except CeleriacError as exc:
        _say(f"REFUSED: {exc}")
        sys.exit(1)
    except Exception as exc:  # noqa: BLE001  # the outermost edge: git shows a traceback to whoever pushes
        _say(f"REFUSED: {_what_happened(exc)}")
        sys.exit(1)


@contextmanager
def _telling() -> Iterator[None]:
    """Say what cannot be done now: git has moved the branch, and the reconciler does the rest."""
    later = "it is finished by itself when that is over (repository status)"
    try:
        yield
    except CeleriacError as exc:
        _say_if_possible(f"NOT FINISHED: {exc}; {later}")
        sys.exit(1)
    except Exception as exc:  # noqa: BLE001  # the outermost edge
        _say_if_possible(f"NOT FINISHED: {_what_happened(exc)}; {later}")
        sys.exit(1)


def _what_happened(exc: Exception) -> str:
    if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return "there is no room on the server's disk"
    return f"the server made a mistake, {type(exc).__name__}: {exc}"


def _say(text: str) -> None:
    """One line, or several short ones that belong together."""
    text = visible(text)
    indent = " " * (len(text) - len(text.lstrip()))
    for line in textwrap.wrap(
        text,
        LINE_CHARACTERS,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    ):
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _say_if_possible(text: str) -> None:
    """What was pushed goes live, whether somebody still listens or not."""
    try:
        _say(text)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  # until the process ends
