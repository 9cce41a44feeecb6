"""Runs a command line and answers its exit code: one line on stderr for what went wrong, never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from client import output
from client.errors import ClientError, InputError, InstanceFailed, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

SOME_FAILED, USAGE, REFUSED, UNAVAILABLE, INSTANCE_FAILED, INTERRUPTED = 1, 2, 3, 4, 5, 130
EXIT_CODES: dict[type[ClientError], int] = {
    InputError: USAGE,
    Refused: REFUSED,
    Unavailable: UNAVAILABLE,
    InstanceFailed: INSTANCE_FAILED,
}

EPILOG = """\
\b
Exit codes
  0    all went well
  1    some items failed or were cancelled
  2    wrong usage: an option, a number or a file
  3    the server, or the store, refused the request
  4    no server answered, or not in time, or it is out of order
  130  interrupted; a job that was submitted goes on
"""


def run(command: click.Command, arguments: Sequence[str] | None, *, name: str) -> int:
    """Run a command as the program `name`, with sys.argv's arguments if none are given."""
    try:
        return int(command.main(arguments, prog_name=name, standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        output.print_error(error.format_message() + _where_help_is(error, name=name))
        return error.exit_code
    except ClientError as error:
        output.print_failure(error)
        return EXIT_CODES[type(error)]
    except (click.Abort, KeyboardInterrupt):
        output.print_error("interrupted")
        return INTERRUPTED
    except OSError as error:
        output.print_error(f"{error.filename or 'file'}: {error.strerror or error}")
        return USAGE


def _where_help_is(error: click.ClickException, *, name: str) -> str:
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else name
    return f" See: {command} --help"
