"""The options that several commands share, each with its environment variable."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from client import __version__
from client.api import Server
from client.output import print_json, print_note
from client.tls import is_in_the_clear

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_URL = "http://127.0.0.1:5100"

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Talk:
    """How to talk to whoever calls."""

    as_json: bool
    is_quiet: bool

    def show(self, content: Any, print_text: Callable[[], None]) -> None:
        """Print content as JSON if that is wanted, else as text."""
        if self.as_json:
            print_json(content)
        else:
            print_text()


@dataclass(frozen=True)
class Shared(Talk):
    """Which server, and how to talk to whoever calls."""

    url: str
    key: str | None = field(default=None, repr=False)
    fingerprint: str | None = None

    def connect(self) -> Server:
        """The server; nothing is sent yet.

        Raises:
            InputError: what is known of it cannot be used.
        """
        if self.key and is_in_the_clear(self.url) and not self.is_quiet:
            print_note(f"the key goes to {self.url} in the clear: use an https:// address where you can")
        return Server(self.url, key=self.key, fingerprint=self.fingerprint, tell=print_note)


class NumbersCommand(click.Command):
    """A command whose arguments may be negative numbers; an unknown option is still an error."""

    ignore_unknown_options = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        for value in ctx.params.get("inputs", ()):
            if value.startswith("-") and not (value[1:2].isdigit() or value[1:2] == "."):
                raise click.NoSuchOption(value.partition("=")[0], ctx=ctx)
        return rest


version = click.version_option(__version__, message="Celeriac %(version)s")
"""--version, of a program."""


def setting(flag: str, *, env: str, **attributes: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """An option that may also come from the environment; --help names the variable."""
    return click.option(flag, envvar=f"CELERIAC_{env}", show_envvar=True, **attributes)


def shared(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command --url, --key, --fingerprint, --json and --quiet, as one `Shared` value, its first argument."""

    @setting(
        "--url", env="URL", default=DEFAULT_URL, show_default=True, metavar="URL", help="Where the server is."
    )
    @setting(
        "--key",
        env="KEY",
        metavar="KEY",
        help="An API key, if the server wants one. Others of this machine see it here, and not in the variable.",
    )
    @setting(
        "--fingerprint",
        env="FINGERPRINT",
        metavar="SHA256:…",
        help="Talk to the server that has this certificate, whoever signed it, and to no other.",
    )
    @_talking
    @functools.wraps(command)
    def with_shared(
        *, url: str, key: str | None, fingerprint: str | None, json: bool, quiet: bool, **arguments: Any
    ) -> R:
        server = Shared(url=url, key=key, fingerprint=fingerprint, as_json=json, is_quiet=quiet)
        return command(server, **arguments)

    return with_shared


def talk(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command that asks no server --json and --quiet, as one `Talk` value, its first argument."""

    @_talking
    @functools.wraps(command)
    def with_talk(*, json: bool, quiet: bool, **arguments: Any) -> R:
        return command(Talk(as_json=json, is_quiet=quiet), **arguments)

    return with_talk


def _talking(command: Callable[P, R]) -> Callable[P, R]:
    as_json = setting("--json", env="JSON", is_flag=True, help="Print JSON instead of tables.")
    quiet = setting("--quiet", env="QUIET", is_flag=True, help="Show no progress and no notes.")
    return as_json(quiet(command))


timeout = setting(
    "--timeout",
    env="TIMEOUT",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long to wait for the results of a job; it goes on after that. As long as it takes, if not given.",
)


def which_model(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command --model, --version and --priority."""
    options = (
        setting("--model", env="MODEL", required=True, metavar="NAME", help="The model to ask."),
        setting(
            "--version",
            env="MODEL_VERSION",
            metavar="N",
            help="A version of the model other than its stable one, or a channel that names one.",
        ),
        setting(
            "--priority",
            env="PRIORITY",
            type=click.Choice(["normal", "high"]),
            help="Whether to go before other jobs.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
