"""What the cloud in memory refuses, in the words of the launcher's protocol."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, TypeVar

from client.errors import Refused
from client.launcher.cloud import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

Found = TypeVar("Found")


def found(things: Mapping[str, Found], thing_id: str, kind: str) -> Found:
    """The thing with an id, or a refusal."""
    if thing_id not in things:
        raise Refused(f"{kind} {thing_id} could not be found", code="not_found")
    return things[thing_id]


def charge(what: str, left: int | None, wanted: int) -> None:
    """Refuse what a quota does not allow."""
    if left is not None and wanted > left:
        raise Refused(f"quota exceeded for {what}: {wanted} wanted, {left} left", code="quota_exceeded")


def minus(limit: int | None, used: int) -> int | None:
    """What a limit leaves; None is without limit."""
    return None if limit is None else max(0, limit - used)


def checked(rule: Rule) -> Rule:
    """A rule, with its range of addresses as the cloud writes it."""
    try:
        return Rule(rule.port, str(ipaddress.ip_network(rule.source)))
    except ValueError as error:
        raise Refused(f"{rule.source} is not a range of addresses", code="invalid") from error
