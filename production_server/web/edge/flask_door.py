"""The entrance to Flask's requests, and who came in by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import g, request

from production_server.access.allowances import Allowance
from production_server.access.records import NOBODY, Actor, Client
from production_server.errors import NotKnownYet
from production_server.web.edge.bridge import BODY_BYTES
from production_server.web.edge.door import Asking
from production_server.web.edge.needs import NO_SUCH_PATH
from production_server.web.edge.parts import current_parts
from production_server.web.edge.sizes import most_body_bytes
from production_server.web.edge.waits import Wait
from production_server.work_in_hand import work_in_hand


def pass_entrance() -> None:
    """Let the request in, or raise why not; runs before everything else that Flask does with one."""
    asking, entrance = _asking(), current_parts().entrance
    # Of what was compressed it is not known before it is read.
    request.max_content_length = most_body_bytes(
        asking.operation, largest=current_parts().settings.max_body_bytes
    )
    try:
        client = entrance.recognise(asking)
    except NotKnownYet:
        entrance.look_again(asking.peer)
        client = entrance.recognise(asking, has_looked=True)
    # Also of whom it is refused: the page that says so tells which key that is.
    g.client = client
    g.allowance = entrance.check(asking, client)
    if client is not NOBODY:
        current_parts().standings.look_if_unknown()
    asking_allowance().add_bytes(request.environ.get(BODY_BYTES, 0))


@contextmanager
def waiting_place() -> Iterator[Wait]:
    """A place for this request to wait in, as `BoundedWaits` has them; it ends with the key, as streams do.

    Raises:
        Unauthorized: the key is over by now.
    """
    parts, client = current_parts(), asking_client()

    def wait(seconds: float) -> bool:
        may_go_on = wait_there(seconds)
        parts.entrance.check_still(client)
        return may_go_on

    with parts.waits.place() as wait_there:
        yield wait


def note_refusal(code: str) -> None:
    """Have the audit tell that the request was refused."""
    entrance = current_parts().entrance
    entrance.note_refusal(_asking(), asker(), request_id=_request_id(), code=code)


def acting(client: Client | None = None) -> Actor:
    """Who does what this request asks for: the client whose it is, unless that was found out otherwise."""
    return (client or asking_client()).acting(request.remote_addr or "", _request_id())


def asking_client() -> Client:
    """The client whose request is being handled."""
    client: Client = g.client
    return client


def asking_allowance() -> Allowance:
    """What the client whose request is being handled may still use."""
    allowance: Allowance = g.allowance
    return allowance


def count_refusal() -> None:
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


def _asking() -> Asking:
    return Asking(
        operation=request.endpoint or NO_SUCH_PATH,
        method=request.method,
        path=request.path,
        headers=request.headers,
        peer=request.remote_addr or "",
        scheme=request.scheme,
    )


def _request_id() -> str:
    return work_in_hand().get("request_id", "")
