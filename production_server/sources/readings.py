"""Events that are not read yet: so that all that are wrong can be named, and none stops its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NoReturn

from production_server.errors import InvalidInput, TooLarge
from production_server.sources.event import ObjectEvent

Reading = Callable[[], ObjectEvent]
"""Reads one event; raises InvalidInput where it cannot be read."""


def each_by_itself(readings: Iterator[Reading]) -> Iterator[Reading]:
    """The same; what cannot be taken apart is an event that cannot be read, and stops none of those after it.

    Raises:
        TooLarge: there are more than may come in one request.
    """
    try:
        yield from readings
    except TooLarge:
        raise
    except InvalidInput as exc:
        yield partial(_refuse, exc)


def _refuse(exc: InvalidInput) -> NoReturn:
    raise exc
