"""An event loop of its own: Playwright's keeps running in the main thread, where no second one may."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run_apart(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop | None = None) -> T:
    """Run a coroutine to its end, in another thread; by default in a fresh loop."""
    with ThreadPoolExecutor(1) as thread:
        if loop is None:
            return thread.submit(asyncio.run, coroutine).result()
        return thread.submit(loop.run_until_complete, coroutine).result()
