"""Bodies of a bridge that is tried without the rest of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from production_server.web.edge.bodies import Bodies, IsWanted, Judge


def is_always(_scope: Mapping[str, Any]) -> bool:
    """Whether anybody is let in."""
    return True


def bodies_of(limit: int, is_wanted: IsWanted = is_always) -> Bodies:
    """Up to the limit wherever they go, of those that are wanted."""
    judge = Judge(most_bytes=lambda _scope: limit, is_wanted=is_wanted, is_let_in=is_wanted)
    return Bodies(limit=limit, judge=judge)
