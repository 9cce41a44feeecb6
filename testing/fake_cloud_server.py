"""A server of the cloud in memory: it comes up, goes down and disappears by being looked at."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from client.errors import Refused
from client.launcher.cloud import Flavor, Mark, Server, ServerRequest

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS = ("scheduling", "networking", "spawning")
Stage = dict[str, object]


@dataclass
class FakeServer:
    """`now` is how it stands. With each look the next of `coming` comes true, until `looks_left` are used up."""

    now: Server
    request: ServerRequest
    flavor: Flavor
    group_ids: list[str]
    script: tuple[str, ...]
    coming: list[Stage] = field(default_factory=list)
    looks_left: int | None = None
    lines_written: int = 0

    @property
    def is_going(self) -> bool:
        return self.looks_left is not None

    @property
    def is_gone(self) -> bool:
        return self.looks_left is not None and self.looks_left < 0

    def shown(self, name_of_group: Callable[[str], str]) -> Server:
        """As the compute service shows it: groups are those of its port, which it has with its address."""
        names = map(name_of_group, self.group_ids if self.now.addresses else ())
        return replace(self.now, security_groups=tuple(names))

    def look(self) -> None:
        """Be looked at once more."""
        if self.looks_left is not None:
            self.looks_left -= 1
        elif self.coming:
            self.now = replace(self.now, **self.coming.pop(0))  # type: ignore[arg-type]

    def delete(self, *, after: int) -> None:
        """Be gone after so many looks."""
        if not self.is_going:
            self.looks_left = after
            self.now = replace(self.now, task="deleting")

    def switch(self, *, needs: str, task: str, then: str, after: int) -> None:
        """Go from one status to another."""
        if self.now.status != needs or self.now.task:
            raise Refused(f"server {self.now.id} is {self.now.status}, not {needs}", code="conflict")
        self.now = replace(self.now, task=task)
        self.coming = [{"task": task} for _ in range(after - 1)]
        self.coming.append({"task": None, "status": then})

    def console(self, lines: int | None, *, pace: int) -> str:
        """What it has written, `pace` lines of the script more than the last time."""
        if self.now.status not in {"ACTIVE", "SHUTOFF"}:
            return ""
        self.lines_written = min(len(self.script), self.lines_written + pace)
        written = self.script[: self.lines_written]
        return "".join(f"{line}\n" for line in (written if lines is None else written[-lines:]))


def boot(
    request: ServerRequest, flavor: Flavor, *, number: int, mark: Mark | None, script: tuple[str, ...]
) -> FakeServer:
    """A server that has just been asked for; what is to become of it is `coming`."""
    now = Server(
        id=f"server-{number}",
        name=request.name,
        status="BUILD",
        created=f"2026-01-02T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        task="scheduling",
        metadata=dict(request.metadata),
        mark=mark,
    )
    groups = [request.security_group_id] if request.security_group_id else []
    return FakeServer(now, request, flavor, groups, script)


def coming_up(number: int, *, looks: int) -> list[Stage]:
    """The stages of a boot that goes well: it is ACTIVE at the last of the looks."""
    address = (str(ipaddress.ip_address("10.0.0.0") + number),)
    stages: list[Stage] = [{"task": TASKS[min(look, len(TASKS) - 1)]} for look in range(looks - 1)]
    for stage in stages[2:]:
        stage["addresses"] = address
    return [*stages, {"status": "ACTIVE", "task": None, "addresses": address}]


def failing(fault: str) -> list[Stage]:
    """The stages of a boot that fails."""
    return [{"status": "ERROR", "task": None, "fault": fault}]
