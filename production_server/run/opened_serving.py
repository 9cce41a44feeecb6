"""What a command needs that shows or changes which versions serve."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import closing, contextmanager

from production_server.access.records import Actor
from production_server.models.mirror import mirror_of
from production_server.models.registry import Registry
from production_server.models.remote_store import remote_store_of
from production_server.run.state import open_database
from production_server.serving.known_standings import KnownStandings
from production_server.serving.serving import Serving
from production_server.settings import Settings
from production_server.shown import shown

LONGEST_LOGIN = 40
"""A client's name has room for 64 characters."""


@contextmanager
def opened_serving(settings: Settings) -> Iterator[Serving]:
    """The stores and the database of these settings, of a process that looks once.

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
        yield Serving(database, registry, known, settings.model_stores[-1], remote_store_of(settings))


def user_acting() -> Actor:
    """Who types this, as the system knows it; variables of the environment could say anybody."""
    try:
        login = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        login = str(os.getuid())
    return Actor(f"{shown(login)[:LONGEST_LOGIN]} on the command line")
