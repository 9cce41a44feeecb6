"""Removes what carries the launcher's marks, and nothing else."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from client.errors import Refused, Unavailable
from client.launcher.doing.clock import TimeIsUp

if TYPE_CHECKING:
    from client.launcher.cloud import Belongings
    from client.launcher.doing.tools import Tools

POLL_S = 1.0
TIMEOUT_S = 180.0


def remove(belongings: Belongings, tools: Tools) -> None:
    """Delete servers, then floating addresses, then, once the servers are gone, security groups.

    Raises:
        Unavailable: The servers do not go, or a security group stays in use, until the time is up.
    """
    cloud, report = tools.cloud, tools.report
    try:
        for server in belongings.servers:
            report.stage(f"deleting server {server.name}")
            tools.patiently(partial(cloud.delete_server, server.id))
        for address in belongings.floating_addresses:
            report.stage(f"giving back floating IP {address.address}")
            tools.patiently(partial(cloud.delete_floating_address, address.id))
        for server in belongings.servers:
            report.stage(f"waiting until server {server.name} is gone")
            while tools.patiently(partial(cloud.server, server.id)) is not None:
                tools.clock.pause(POLL_S)
        for group in belongings.security_groups:
            report.stage(f"deleting security group {group.name}")
            delete_group(group.id, tools)
    except TimeIsUp as error:
        limit_s = tools.clock.timeout_s
        raise Unavailable(f"the cloud did not delete everything in {limit_s:.0f} s: try again") from error


def delete_group(group_id: str, tools: Tools) -> None:
    """Delete a security group as soon as it is in use no more: a server that is gone leaves its port for a moment.

    Raises:
        TimeIsUp: It stays in use.
    """
    while True:
        try:
            tools.patiently(partial(tools.cloud.delete_security_group, group_id))
        except Refused as refusal:
            if refusal.code != "conflict":
                raise
            tools.clock.pause(POLL_S)
        else:
            return
