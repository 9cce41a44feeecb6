"""Whether this service keeps faces at all, and who says what they are."""

from __future__ import annotations

from production_server.errors import NotFound
from production_server.personas.records import Sayer
from production_server.web.edge.flask_door import acting, asking_client
from production_server.web.edge.parts import current_parts


def keeps_faces() -> bool:
    """Whether biometrics are on."""
    return current_parts().settings.personas == "on"


def check_switched_on() -> None:
    """Let a request in only where biometrics are on.

    Raises:
        NotFound: they are off (code `personas_off`).
    """
    if not keeps_faces():
        detail = (
            "this service keeps no faces; whoever runs it may start it, and its workers, with PERSONAS=on"
        )
        raise NotFound(detail, code="personas_off")


def sayer() -> Sayer:
    """The person whose request is being handled: people of one client are told apart by the names of their keys."""
    client = asking_client()
    return Sayer(client.name, client.key_name or client.name, acting())
