"""The web's door: what is asked of every request before anything else. Who is it, may it, is it not too much?

Calls on the event loop and Flask's requests ask the same door, each in one place: `interactive.front` and `flask_door`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from werkzeug.http import parse_cookie

from production_server.access.allowances import UNLIMITED, Allowance
from production_server.access.key_text import fault_of, id_of
from production_server.access.known_keys import KnownKeys
from production_server.access.limits import Limits
from production_server.access.recorder import Recorder
from production_server.access.records import ANONYMOUS, NOBODY, Actor, Client
from production_server.access.refusals import refusal_of
from production_server.access.scopes import Scope
from production_server.errors import CeleriacError, Forbidden, NotKnownYet, Unauthorized
from production_server.web.edge.headers import Headers
from production_server.web.edge.needs import scopes_for
from production_server.web.edge.proxies import Proxies
from production_server.web.edge.sites import Sites

SESSION_COOKIE = "celeriac_session"


class Asking(NamedTuple):
    """A request as the door sees it: not what it brings, but who brings it, and what for."""

    # No dataclass: a frozen one takes three times as long to make, and each call makes one.

    operation: str
    """What is asked for: Flask's endpoint (`jobs.submit`; `none` at a path that is none), `calls.v1` or `calls.v2`."""
    method: str
    path: str
    headers: Headers
    peer: str
    """The address that it comes from: of the client itself where a proxy that is believed has passed it on."""
    scheme: str
    """What it comes by: `http` or `https`."""

    @property
    def brings_body(self) -> bool:
        """Whether a body comes with it."""
        length = self.headers.get("content-length")
        return length not in {None, "", "0"} or self.headers.get("transfer-encoding") is not None

    @property
    def is_of_a_page(self) -> bool:
        """Whether it changes nothing, or a browser says whose page has sent it: then `Sites` has judged that."""
        is_told = any(self.headers.get(name) is not None for name in ("sec-fetch-site", "origin"))
        return self.method in {"GET", "HEAD", "OPTIONS"} or is_told


def asking_of(operation: str, scope: Mapping[str, Any], headers: Headers) -> Asking:
    """What an ASGI scope and its headers ask."""
    peer = scope.get("client")
    address = peer[0] if peer else ""
    return Asking(operation, scope["method"], scope["path"], headers, address, scope.get("scheme", "http"))


class Door(Protocol):
    """Lets clients in, or does not. Called by the event loop and by many threads at once."""

    def admit(self, asking: Asking, /) -> Client:
        """Who it is. Never blocks: a call on the event loop would make all others wait.

        Raises:
            CeleriacError: this request is refused; it is answered as any error is.
            NotKnownYet: it may be let in after `look_again`.
        """

    def look_again(self) -> None:
        """Find out what has become known meanwhile. Blocks."""


class KeyDoor:
    """Lets in whoever has a key; while there are none, everybody, unless `must_have_key`."""

    def __init__(self, keys: KnownKeys, *, must_have_key: bool = False) -> None:
        self._keys = keys
        self._must_have_key = must_have_key
        self.look_again = keys.look_again

    def admit(self, asking: Asking, /) -> Client:
        if not (self._must_have_key or self._keys.are_needed):
            return ANONYMOUS
        key = key_in(asking.headers) or None
        session = session_in(asking.headers) if key is None else None
        if key is None and session is None:
            raise Unauthorized("a key is needed: Authorization: Bearer, or X-API-Key")
        client = self._keys.find(key or session or "")
        if bool(client.session_id) != (session is not None):
            # Each has its own place: what a browser must prove beside a session, a key need not.
            raise Unauthorized("the key is none: it is a session's" if key else "the session is none")
        if session is not None and not asking.is_of_a_page:
            raise Forbidden(
                "a session serves pages: whoever sends no Sec-Fetch-Site and no Origin needs a key"
            )
        return client


def key_in(headers: Headers) -> str | None:
    """The key that a request brings: as a bearer's token, as the password or the user of Basic, or as X-API-Key.

    Raises:
        Unauthorized: it brings two, or what cannot be read.
    """
    authorization, alone = headers.get("authorization"), headers.get("x-api-key")
    if authorization is None:
        return alone
    scheme, _, text = authorization.partition(" ")
    kind = scheme.lower()
    if kind == "bearer":
        key = text.strip(" ")
    elif kind == "basic":
        key = _key_of_basic(text)
    else:
        raise Unauthorized("Authorization: expected Bearer or Basic with a key")
    if alone is not None and alone != key:
        raise Unauthorized("Authorization and X-API-Key bring two keys: send one")
    return key


def session_in(headers: Headers) -> str | None:
    """The session that a browser holds in a cookie, if there is one that can be read."""
    cookie = headers.get("cookie")
    if cookie is None or SESSION_COOKIE not in cookie:
        return None
    # Ours are ASCII; others of the same name, of another port for instance, may hold anything.
    try:
        return parse_cookie(cookie.encode("ascii", "ignore").decode()).get(SESSION_COOKIE)
    except ValueError:  # "\200" stands for a byte, and such bytes may be no UTF-8
        return None


def id_brought(headers: Headers) -> str:
    """The public part of the key that a request brings; empty: it brings none, or what is no key."""
    try:
        return public_part(key_in(headers) or "")
    except Unauthorized:
        return ""


def public_part(key: str) -> str:
    """The public part of a key; empty of what is none: what somebody took for one may be a password."""
    return id_of(key) if fault_of(key) is None else ""


def _key_of_basic(text: str) -> str:
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except ValueError as exc:
        raise Unauthorized("Authorization: Basic cannot be read") from exc
    return password or user


@dataclass(frozen=True, slots=True)
class Entrance:
    """What every request passes, in both halves: whether a browser may send it at all, who it is, and not too often."""

    sites: Sites
    door: Door
    limits: Limits
    proxies: Proxies
    recorder: Recorder
    still_holds: Callable[[Client], bool]
    """Whether the key with which a client came in would let it in now; never blocks."""

    def recognise(self, asking: Asking, *, has_looked: bool = False) -> Client:
        """Who it is, whether it may ask for this or not. Never blocks.

        `has_looked`: after `look_again`, so that a key that is not known opens nothing.

        Raises:
            CeleriacError: this request is refused. NotKnownYet: it may not be, after `look_again`.
        """
        if not self._needed(asking):
            return NOBODY
        try:
            return self.door.admit(asking)
        except Unauthorized as exc:
            if has_looked or not isinstance(exc, NotKnownYet):
                self.limits.note_refusal(asking.peer)
            raise

    def check(self, asking: Asking, client: Client) -> Allowance:
        """Let a client go on that may ask for this, and count that; returns what it may still use. Never blocks.

        Raises:
            TooManyRequests: it has asked for too much. Forbidden: it may not ask for this; names the scope.
        """
        needed = scopes_for(asking.operation)
        if not needed:
            return UNLIMITED
        allowance = self.limits.allowance_of(client, asking.peer)
        if allowance is UNLIMITED:
            self.proxies.tell_of_unnamed(asking.peer, asking.headers)
        else:
            allowance.enter(brings_body=asking.brings_body)
        _check_scope(client, needed)
        return allowance

    def check_still(self, client: Client) -> None:
        """See that the key of a client that came in some time ago still opens. Never blocks.

        Raises:
            Unauthorized: it does not.
        """
        if client is not NOBODY and not self.still_holds(client):
            raise Unauthorized("the key, or session, with which this began is over")

    def would_let_in(self, asking: Asking) -> bool:
        """Whether a request will be let in whose body is still to come; counts nothing, and never blocks.

        Raises:
            NotKnownYet: its key is not known; `will_let_in` asks.
        """
        try:
            return self._has_room(asking)
        except NotKnownYet:
            raise
        except CeleriacError:
            return False

    def will_let_in(self, asking: Asking) -> bool:
        """As `would_let_in`, after a look for a key that is not known yet. Blocks."""
        try:
            try:
                return self._has_room(asking)
            except NotKnownYet:
                self.look_again(asking.peer)
                return self._has_room(asking)
        except CeleriacError:
            return False

    def note_refusal(self, asking: Asking, client: Client | None, *, request_id: str, code: str) -> None:
        """Have the audit tell that a request was refused; of a client, if one was recognised. Never blocks."""
        if client is not None and client.key_id:
            by = client.acting(asking.peer, request_id)
        else:
            by = Actor("", id_brought(asking.headers), asking.peer, request_id)
        self.recorder.refuse(refusal_of(by, asking.operation, code))

    def look_again(self, peer: str) -> None:
        """Find out, for a request from there, what has become known of keys meanwhile. Blocks.

        Raises:
            TooManyRequests: too many keys from there have opened nothing. Unavailable: nobody can say.
        """
        self.limits.check_refusals(peer)
        self.door.look_again()

    def _has_room(self, asking: Asking) -> bool:
        needed = self._needed(asking)
        if not needed:
            return True
        client = self.door.admit(asking)
        _check_scope(client, needed)
        return self.limits.allowance_of(client, asking.peer).has_room(brings_body=True)

    def _needed(self, asking: Asking) -> tuple[Scope, ...]:
        self.sites.check(asking.method, asking.headers, scheme=asking.scheme)
        try:
            return scopes_for(asking.operation)
        except KeyError as exc:
            raise Forbidden(f"nobody has said who may {asking.method} {asking.path}") from exc


def _check_scope(client: Client, needed: tuple[Scope, ...]) -> None:
    if not any(client.may(scope) for scope in needed):
        raise Forbidden(f"the key {client.key_name!r} has not the scope {' or '.join(needed)}")
