"""The other side: what a confined process does before anything else, and how it speaks with whoever started it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from production_server.confined.limits import Limits, confine, end_with_parent

_STDIN, _STDOUT, _STDERR = 0, 1, 2


class Asker:
    """Who started this process. Whatever libraries print goes to stderr, and does not disturb him."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(_STDOUT), "w", encoding="utf-8")
        os.dup2(_STDERR, _STDOUT)
        self._unread = b""
        self.limits = Limits(**self.next_message()["limits"])
        self.confinement = confine(self.limits)
        """What the kernel did not let this process give up, a sentence each."""

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send one message."""
        self._answers.write(json.dumps(message) + "\n")
        self._answers.flush()

    def tell_error(self, error: BaseException) -> None:
        """Send what went wrong, as an error that is one again on the other side."""
        self.tell({"error": _error_message(error)})

    def messages(self) -> Iterator[dict[str, Any]]:
        """What is asked, one after the other, until nobody asks any more."""
        while True:
            try:
                yield self.next_message()
            except EOFError:
                return

    def end_with_it(self) -> None:
        """End this process as soon as whoever started it is gone; nothing more is asked."""
        end_with_parent(_STDIN)

    def next_message(self) -> dict[str, Any]:
        """The next one, read up to its end and no further: what comes behind tells that nobody waits any more.

        Raises:
            EOFError: there is none.
        """
        line = bytearray(self._unread)
        while b"\n" not in line:
            piece = os.read(_STDIN, 2**16)
            if not piece:
                raise EOFError
            line += piece
        first, _, self._unread = bytes(line).partition(b"\n")
        message: dict[str, Any] = json.loads(first)
        return message


def answer_one(told_as: str, make: Callable[[dict[str, Any], Asker], Any]) -> None:
    """Answer one request by what `make` returns, then end; or end when whoever asked is gone.

    The last message has it as `told_as`, or is an error.
    """
    asker = Asker()
    for note in asker.confinement:
        asker.tell({"say": note})
    request = asker.next_message()
    asker.end_with_it()
    try:
        asker.tell({told_as: make(request, asker)})
    except Exception as exc:  # noqa: BLE001 # what cannot be told is raised again
        asker.tell_error(exc)


def _error_message(error: BaseException) -> dict[str, Any]:
    # Imported only now, within the limits.
    from production_server.errors import CeleriacError, InvalidInput

    if isinstance(error, CeleriacError):
        faults = error.faults if isinstance(error, InvalidInput) else ()
        return {
            "class": type(error).__name__,
            "code": error.code,
            "detail": str(error),
            "faults": [[each.field, each.expected, each.got] for each in faults],
        }
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        asked = str(error) if isinstance(error, MemoryError) else ""
        detail = "it needs more memory than it may use (IMPORT_MEMORY_BYTES)" + (
            f": {asked}" if asked else ""
        )
        return {"class": "ImportFailed", "code": "import_failed", "detail": detail}
    if isinstance(error, OSError):
        return {"class": "StoreNotWritable", "detail": f"{error.strerror or error}", "errno": error.errno}
    raise error
