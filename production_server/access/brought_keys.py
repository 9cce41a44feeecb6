"""Keys that a deployment brings itself (`API_KEYS_FILE`): a line for each, with whose it is and what it may do."""

from __future__ import annotations

from collections.abc import Iterator

from production_server.access.key_text import digest_of, fault_of, id_of
from production_server.access.records import CLIENT_RULE, Client, is_client_name
from production_server.access.scopes import USUAL, scopes_of
from production_server.errors import Fault, InvalidInput, SettingsError
from production_server.shown import describe

VARIABLE = "API_KEYS"
DEFAULT_CLIENT = "deployment"


def read_brought_keys(text: str) -> dict[bytes, Client]:
    """The clients of keys, by the keys' digests.

    A line is `KEY`, `KEY CLIENT` or `KEY CLIENT SCOPE…`; without scopes it is for `predict` and `read`. Empty lines,
    and what stands behind a `#`, are passed over.

    Raises:
        SettingsError: a line is none; it is named by its number, and the key not shown.
    """
    found: dict[bytes, Client] = {}
    faults: list[Fault] = []
    for number, line in _lines(text):
        key, *rest = line.split()
        try:
            client = _client(key, rest)
        except InvalidInput as exc:
            faults.append(Fault(f"{VARIABLE}, line {number}", exc.faults[0].expected, exc.faults[0].got))
        else:
            if digest_of(key) in found:
                faults.append(Fault(f"{VARIABLE}, line {number}", "another key", "one of a line before"))
            found[digest_of(key)] = client
    if faults:
        raise SettingsError(tuple(faults))
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        told = line.partition("#")[0].strip()
        if told:
            yield number, told


def _client(key: str, rest: list[str]) -> Client:
    fault = fault_of(key)
    if fault is not None:
        raise InvalidInput.at(VARIABLE, "a key, as `keys create` prints one", f"one that {fault}")
    name, *scopes = rest or [DEFAULT_CLIENT]
    if not is_client_name(name):
        raise InvalidInput.at(VARIABLE, f"a client's name: {CLIENT_RULE}", describe(name))
    allowed = scopes_of(scopes) if scopes else frozenset(USUAL)
    return Client(name, allowed, id_of(key), f"{VARIABLE}: {name}")
