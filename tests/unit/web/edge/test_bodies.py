from __future__ import annotations

import io
import threading

from production_server.web.app import create_app
from production_server.web.edge.bodies import BoundedBodies
from production_server.web.edge.parts import WebParts
from tests.unit.web.api.test_submitting import post, problem


class Stalled(io.BytesIO):
    """A body of which the client sends nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__(b"{")
        self.is_read = threading.Event()
        self.goes_on = threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        self.is_read.set()
        self.goes_on.wait(20)
        return super().read(size)


def test_bodies_that_stop_midway_do_not_stop_the_others_for_ever(parts: WebParts) -> None:
    app = create_app(parts)
    app.wsgi_app = BoundedBodies(app.wsgi_app, readers=1, patience_s=0)  # type: ignore[method-assign]
    body = Stalled()
    stalled = threading.Thread(
        target=lambda: app.test_client().post("/api/jobs", input_stream=body, content_type="application/json")
    )

    stalled.start()
    assert body.is_read.wait(20)
    refused = post(app.test_client(), {"model": "table", "inputs": [[3, 7]]})
    alive = app.test_client().get("/livez")
    body.goes_on.set()
    stalled.join(20)
    accepted = post(app.test_client(), {"model": "table", "inputs": [[3, 7]]})

    assert problem(refused)[:2] == (503, "unavailable")
    assert refused.headers["Retry-After"]
    assert (alive.status_code, accepted.status_code) == (200, 202)
