"""The fields that tell a client of its limits: Retry-After, and those of draft-ietf-httpapi-ratelimit-headers-11."""

from __future__ import annotations

from production_server.access.allowances import BYTES, CALLS, ITEMS, Allowance
from production_server.access.meters import MINUTE_S
from production_server.errors import TooManyRequests

_UNITS = {BYTES: "content-bytes", CALLS: "concurrent-requests", ITEMS: "items"}
"""What is counted, where it is not requests. The draft has no word for items, and others may be registered."""


def fields_of_refusal(error: TooManyRequests) -> dict[str, str]:
    """What an answer says that is one because of a limit."""
    return {
        "retry-after": str(error.retry_after_s),
        "ratelimit-policy": _policy(error.limit, error.most),
        "ratelimit": f'"{error.limit}";r=0;t={error.retry_after_s}',
    }


def fields_of(allowance: Allowance) -> dict[str, str]:
    """What any answer says of limits of which less than half is left: of others nothing (the draft's section 6.2)."""
    low = allowance.low()
    if not low:
        return {}
    return {
        "ratelimit-policy": ", ".join(_policy(meter.kind, meter.most) for meter, _, _ in low),
        "ratelimit": ", ".join(f'"{meter.kind}";r={left};t={seconds}' for meter, left, seconds in low),
    }


def _policy(limit: str, most: int) -> str:
    unit = f';qu="{_UNITS[limit]}"' if limit in _UNITS else ""
    window = "" if limit == CALLS else f";w={MINUTE_S}"
    return f'"{limit}";q={most}{unit}{window}'
