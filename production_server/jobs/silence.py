"""A database that says nothing, or that too many wait for: then one at a time finds out whether it is over.

All others are told so at once. Whoever waits keeps a thread, which others need for what needs no database.
"""

from __future__ import annotations

import threading
import time

from production_server.errors import Unavailable

AGAIN_S = 0.5
"""So long after somebody waited in vain the next one tries."""
TRY_S = 3.0
"""So long nobody else tries, unless the one who does knows earlier."""


class Silence:
    """What is known of one database. Safe to share between threads."""

    def __init__(self, name: str) -> None:
        """`name`: what clients are told, without its password."""
        self._name = name
        self._until = 0.0
        """When the next one may try, by the monotonic clock; 0: all may."""
        self._who_tries = 0
        self._lock = threading.Lock()

    def check(self) -> None:
        """Let the caller wait for the database, unless somebody else is finding out whether it answers.

        Raises:
            Unavailable: somebody is, or has just waited in vain.
        """
        if not self._until:
            return
        with self._lock:
            me, at = threading.get_ident(), time.monotonic()
            if at < self._until and self._who_tries != me:
                raise Unavailable(
                    "the database does not answer: somebody else waits for it already", place=self._name
                )
            self._until, self._who_tries = at + TRY_S, me

    def begins(self) -> None:
        """Somebody has waited in vain."""
        with self._lock:
            self._until, self._who_tries = time.monotonic() + AGAIN_S, 0

    def ends(self) -> None:
        """The database has answered."""
        if self._until:
            with self._lock:
                self._until = 0.0
