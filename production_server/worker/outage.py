"""A worker that has a chunk in hand outlasts a database that does not answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from production_server.errors import Unavailable

AGAIN_S = 0.5

Returned = TypeVar("Returned")
log = logging.getLogger(__name__)


def until_answered(ask: Callable[[], Returned], stopping: threading.Event) -> Returned:
    """What `ask` returns, however often that takes: results in hand need not be computed again.

    What it does must be harmless to do twice: the answer may have been lost, and not the question.

    Raises:
        Unavailable: the database does not answer, and a stop was asked for.
    """
    is_told = False
    while True:
        try:
            return ask()
        except Unavailable as exc:
            if not is_told:
                log.warning("%s; trying on", exc.with_place)
            is_told = True
            if stopping.wait(AGAIN_S):
                raise
