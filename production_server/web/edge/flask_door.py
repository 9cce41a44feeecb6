"""The entrance to Flask's requests, and who came in by it."""

from __future__ import annotations

from flask import g, request

from production_server.access.allowances import Allowance
from production_server.access.records import Client
from production_server.errors import NotKnownYet
from production_server.web.edge.bridge import BODY_BYTES
from production_server.web.edge.door import Asking
from production_server.web.edge.parts import current_parts


def pass_entrance() -> None:
    """Let the request in, or raise why not; runs before everything else that Flask does with one."""
    asking = Asking(
        operation=request.endpoint or "none",
        method=request.method,
        path=request.path,
        headers=request.headers,
        peer=request.remote_addr or "",
    )
    entrance = current_parts().entrance
    try:
        g.client, g.allowance = entrance.enter(asking)
    except NotKnownYet:
        entrance.look_again(asking.peer)
        g.client, g.allowance = entrance.enter(asking, has_looked=True)
    asking_allowance().add_bytes(request.environ.get(BODY_BYTES, 0))


def asking_client() -> Client:
    """The client whose request is being handled."""
    client: Client = g.client
    return client


def asking_allowance() -> Allowance:
    """What the client whose request is being handled may still use."""
    allowance: Allowance = g.allowance
    return allowance


def note_refusal() -> None:
    """Count that the key or token that this request brings opens nothing, where a view says so.

    Raises:
        TooManyRequests: so have too many from its address.
    """
    current_parts().limits.note_refusal(request.remote_addr or "")


def asker() -> Client | None:
    """The client whose request is being handled, if the door has said who it is."""
    client: Client | None = g.get("client")
    return client


def whose() -> str | None:
    """The client whose jobs, scans and results may be seen and changed by this request; None: those of all."""
    client = asking_client()
    return None if client.is_admin else client.name
