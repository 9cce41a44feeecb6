"""How versions stand as a process knows it: asking costs nothing, and a change is known within two seconds."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable

from production_server.errors import Unavailable
from production_server.jobs.channels import mark, read_standings
from production_server.jobs.database import Database
from production_server.jobs.shared_look import SharedLook
from production_server.loop import Loop
from production_server.models.channels import Standings

LOOK_EVERY_S = 1.0


class KnownStandings:
    """Safe to share between threads. What was known stays in force as long as the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Standings | None = None
        self._mark: Hashable = None
        self._looks = SharedLook(self._look)
        self._loop = Loop("channels", self._step, pause_s=LOOK_EVERY_S)

    def start(self) -> None:
        """Look now and then, from now on."""
        self._loop.start()

    def close(self) -> None:
        """Look no more."""
        self._loop.stop()

    def now(self) -> Standings:
        """What is known now. Never blocks.

        Raises:
            Unavailable: the database has not answered since this process began.
        """
        known = self._known
        if known is None:
            raise Unavailable("which versions serve is not known yet: the database has not answered")
        return known

    def look_again(self) -> None:
        """See to it that what was stored before now is known. Blocks.

        Raises:
            Unavailable: the database does not answer.
        """
        self._looks.again()

    def look_if_possible(self) -> None:
        """Know what was changed just now; where the database has gone away since, the loop will. Blocks."""
        with contextlib.suppress(Unavailable):
            self.look_again()

    def look_if_unknown(self) -> None:
        """Look for the first time, for a request that comes before the loop has. Blocks only then."""
        if self._known is None:
            self.look_if_possible()

    def _step(self) -> bool:
        self._looks.now()
        return False

    def _look(self) -> None:
        with self._database.read() as connection:
            found = mark(connection)
            if self._known is None or found != self._mark:
                self._known, self._mark = read_standings(connection), found
