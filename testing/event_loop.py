"""Event loops in threads of their own: Playwright's keeps running in the main thread, where no second one may."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def run_apart(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop | None = None) -> T:
    """Run a coroutine to its end, in another thread; by default in a fresh loop."""
    with ThreadPoolExecutor(1) as thread:
        if loop is None:
            return thread.submit(asyncio.run, coroutine).result()
        return thread.submit(loop.run_until_complete, coroutine).result()


class LoopThread:
    """A loop that runs in a thread of its own, for what belongs to one."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in the loop; gives or raises what it does."""

        async def call() -> T:
            return function(*arguments)

        return self.wait_for(call())

    def wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop to its end."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def stop(self) -> None:
        """End it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
