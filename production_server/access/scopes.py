"""What a key lets its client do."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from production_server.errors import InvalidInput
from production_server.shown import describe


class Scope(StrEnum):
    """One thing that a client may do; `admin` includes all others."""

    PREDICT = "predict"
    """Have models answer: calls, jobs, scans."""
    READ = "read"
    """See what is the client's: jobs, results, statistics."""
    LABEL = "label"
    """Decide what items show."""
    PERSONAS = "personas"
    """See the faces of all clients, and say who they are."""
    MODELS = "models"
    """Put versions in, and say which one serves; and see models, and how their versions stand."""
    METRICS = "metrics"
    """See how the service stands: what a Prometheus asks for."""
    ADMIN = "admin"
    """Make and revoke keys, and see what belongs to all clients."""


EVERYTHING = frozenset(Scope)
USUAL = (Scope.PREDICT, Scope.READ)
"""What a key may do unless somebody says otherwise."""


def scopes_of(names: Iterable[str], *, field: str = "scopes") -> frozenset[Scope]:
    """The scopes that are called so.

    Raises:
        InvalidInput: one is none, or there are none; names `field`.
    """
    asked = list(names)
    unknown = [name for name in asked if name not in set(Scope)]
    if unknown or not asked:
        got = describe(unknown[0]) if unknown else "none"
        raise InvalidInput.at(field, f"some of {', '.join(Scope)}", got)
    return frozenset(map(Scope, asked))
