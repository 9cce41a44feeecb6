"""The options that the commands about streams share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def with_properties(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command --options, several times."""
    return click.option(
        "--options",
        "properties",
        envvar="CELERIAC_STREAM_OPTIONS",
        show_envvar=True,
        multiple=True,
        metavar="FILE|NAME=VALUE",
        help="Of Kafka, several times: librdkafka's properties for TLS, SASL and the like, or a file of such lines."
        " A value $NAME is the environment variable's: no password goes here.",
    )(command)
