from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from production_server.errors import DeadlineExceeded
from production_server.web.interactive import patience as module
from production_server.web.interactive.patience import ClientLeft, Patience
from testing.event_loop import run_apart


async def ended(*events: str, wait_s: float) -> Any:
    """What ends a wait of so long, for a client of whom these events come and then nothing."""
    loop = asyncio.get_running_loop()
    end: asyncio.Future[Any] = loop.create_future()
    coming = list(events)

    async def receive() -> Any:
        if not coming:
            await asyncio.Event().wait()
        return {"type": coming.pop(0)}

    patience = Patience(loop, receive, time.monotonic() + wait_s, end=end.set_result)
    try:
        return await end
    finally:
        patience.stop()


@pytest.mark.parametrize("wait_s", [-1.0, 0.0, module.SOON_S / 2, module.SOON_S * 2])
def test_a_wait_ends_at_its_deadline_whether_that_is_soon_or_late(wait_s: float) -> None:
    assert isinstance(run_apart(ended(wait_s=wait_s)), DeadlineExceeded)


def test_a_wait_ends_when_the_client_leaves() -> None:
    assert isinstance(run_apart(ended("http.request", "http.disconnect", wait_s=60)), ClientLeft)
