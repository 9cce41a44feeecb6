"""Waiting for what goes on without whoever waits: what is being done, and how to pick it up again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rich.console import Console

from client.errors import Unavailable
from client.options import DEFAULT_URL
from client.output import print_note, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from client.options import Shared


@contextlib.contextmanager
def status(options: Shared) -> Iterator[Callable[[str], None]]:
    """Show on stderr, if a person is looking, what is being done."""
    console = Console(stderr=True, highlight=False, markup=False)
    if options.is_quiet or not console.is_terminal:
        yield lambda _text: None
        return
    with console.status("") as shown:
        yield lambda text: shown.update(printable(text))


@contextlib.contextmanager
def may_be_left(options: Shared, what: str, command: str) -> Iterator[None]:
    """Say by which command a thing can be picked up when it is no longer waited for."""
    try:
        yield
    except (KeyboardInterrupt, Unavailable):
        where = "" if options.url == DEFAULT_URL else f" --url {options.url}"
        print_note(f"{what} goes on. Pick it up with: python -m client {command}{where}")
        raise
