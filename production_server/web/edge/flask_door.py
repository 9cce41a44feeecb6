"""The entrance to Flask's requests, and who came in by it."""

from __future__ import annotations

from flask import g, request

from production_server.web.edge.door import Asking, Client
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
    g.client = current_parts().entrance.enter(asking)


def asking_client() -> str:
    """The name of the client whose request is being handled."""
    client: Client = g.client
    return client.name
