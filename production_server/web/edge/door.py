"""What the web's doors say of who asks, to whatever is behind them."""

from __future__ import annotations

ANONYMOUS = "anonymous"


def asking_client() -> str:
    """Who sends the request that is being handled: what jobs and idempotency keys belong to. Nobody proves it yet."""
    return ANONYMOUS
