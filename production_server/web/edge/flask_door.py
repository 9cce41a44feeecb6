"""The door to Flask's requests, and who came in by it."""

from __future__ import annotations

from flask import g, request

from production_server.web.edge.door import OPEN_TO_ALL, Asking, Client
from production_server.web.edge.parts import current_parts


def ask_door() -> None:
    """Let the request in, or raise why not; runs before everything else that Flask does with one."""
    if request.endpoint in OPEN_TO_ALL:
        return
    asking = Asking(
        operation=request.endpoint or "none",
        method=request.method,
        path=request.path,
        headers=request.headers,
        peer=request.remote_addr or "",
    )
    g.client = current_parts().door.admit(asking)


def asking_client() -> str:
    """The name of the client whose request is being handled."""
    client: Client = g.client
    return client.name
