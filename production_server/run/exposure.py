"""Who reaches the service: beyond this machine nobody is let in without a key, unless somebody said so."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Sequence
from contextlib import closing

from production_server.access.brought_keys import read_brought_keys
from production_server.access.first_key import make_first_key
from production_server.access.keys import is_there_a_key
from production_server.errors import Fault, SettingsError, Unavailable
from production_server.jobs.database import Database
from production_server.run.state import open_database
from production_server.settings import Settings

log = logging.getLogger(__name__)

ALONE = (
    "127.0.0.1, and no proxies, as long as there is no key (`python -m production_server keys create NAME "
    "--scope admin` makes the first one; or set OPEN_TO_ALL=yes-i-know)"
)


def must_have_key(settings: Settings, addresses: Sequence[socket.socket]) -> bool:
    """Whether nobody may ask at these addresses without a key, even as long as there is none."""
    return not settings.open_to_all and _is_exposed(settings, addresses)


def prepare_database(settings: Settings) -> None:
    """Bring the database to the newest schema, and make the first key where FIRST_KEY_FILE says so.

    Raises:
        SettingsError: STATE_DIR cannot be made, or the first key not be left in that file.
        Unavailable: the database does not answer.
    """
    with closing(open_database(settings)) as database:
        file = settings.first_key_file
        if file is None or any(client.is_admin for client in read_brought_keys(settings.api_keys).values()):
            return
        if make_first_key(database, file):
            log.info("made the first key: %s has it", file)


def check_exposure(settings: Settings, addresses: Sequence[socket.socket]) -> None:
    """Refuse to start where others than this machine can ask, and there is no key.

    While the database does not answer nobody can say, and the door is closed.

    Raises:
        SettingsError: API_KEYS holds keys that are none, or there are no keys.
    """
    if not _is_exposed(settings, addresses) or read_brought_keys(settings.api_keys):
        return
    try:
        with closing(Database(settings.resolved_database_url)) as database, database.read() as connection:
            is_there = is_there_a_key(connection)
    except Unavailable as exc:
        log.warning("whether there is a key is not known yet: %s", exc.with_place)
        return
    if is_there:
        return
    if not settings.open_to_all:
        raise SettingsError((Fault("HOST, PROXIES", ALONE, repr(settings.host)),))
    log.warning("OPEN_TO_ALL: there is no key, and whoever reaches this service may do everything")


def _is_exposed(settings: Settings, addresses: Sequence[socket.socket]) -> bool:
    """Whether others than this machine can ask: by themselves, or by a proxy that passes on what they ask."""
    return bool(settings.proxies) or not all(map(_is_loopback, addresses))


def _is_loopback(address: socket.socket) -> bool:
    host = address.getsockname()[0]
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback
