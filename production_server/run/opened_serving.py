"""What a command needs that shows or changes which versions serve."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from production_server.access.records import Actor
from production_server.learning.imports import gate_of
from production_server.learning.promotion import PromotionGate
from production_server.learning.report import Report
from production_server.models.mirror import mirror_of
from production_server.models.registry import Registry
from production_server.models.remote_store import remote_store_of
from production_server.models.store import ModelVersion
from production_server.run.state import open_database
from production_server.serving.known_standings import KnownStandings
from production_server.serving.serving import Serving
from production_server.settings import Settings
from production_server.shown import shown

LONGEST_LOGIN = 40
"""A client's name has room for 64 characters."""


def _quiet(_text: str) -> None:
    """Say nothing."""


@contextmanager
def opened_serving(settings: Settings, say: Callable[[str], None] = _quiet) -> Iterator[Serving]:
    """The stores and the database of these settings, of a process that looks once; `say` gets what takes long.

    Raises:
        SettingsError: the state folder cannot be made. Unavailable: the database does not answer.
    """
    with closing(open_database(settings)) as database:
        mirror = mirror_of(settings)
        if mirror is not None:
            mirror.look_now()
        known = KnownStandings(database)
        known.look_again()
        registry = Registry(settings.model_stores, known=known.now)
        gate = promotion_gate(settings, say)
        store, remote = settings.model_stores[-1], remote_store_of(settings)
        yield Serving(database, registry, known, store, gate, remote)


def promotion_gate(settings: Settings, say: Callable[[str], None] = _quiet) -> PromotionGate:
    """The gate of promotions, for a process that may run foreign models in confined ones."""
    return PromotionGate(margin=settings.gate_margin, examine=partial(_examine, settings, say))


def _examine(
    settings: Settings, say: Callable[[str], None], candidate: ModelVersion, stable: ModelVersion
) -> Report | None:
    """What the gate says of both; None: Keras runs the candidate, in workers, and is not here."""
    has_keras = settings.import_python is not None or find_spec("tensorflow") is not None
    if candidate.manifest.runner == "keras" and not has_keras:
        return None
    with tempfile.TemporaryDirectory(prefix="celeriac-gate-") as scratch:
        gate = replace(gate_of(settings, say), scratch=Path(scratch))
        return gate.examine(candidate, stable, None)


def user_acting() -> Actor:
    """Who types this, as the system knows it; variables of the environment could say anybody."""
    try:
        login = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        login = str(os.getuid())
    return Actor(f"{shown(login)[:LONGEST_LOGIN]} on the command line")
