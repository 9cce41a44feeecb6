"""A world for the launcher: a cloud in memory, and around it a service, SSH and a clock that take no time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from client.launcher.deciding.request import LaunchRequest
from client.launcher.doing.clock import Clock
from client.launcher.doing.launch import launch
from client.launcher.doing.report import TimedReport
from client.launcher.doing.tools import Tools
from client.launcher.machine.repository import CodeRequest
from testing.fake_cloud import FakeCloud

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.launcher.doing.launch import Launched

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "https://git.example/celeriac"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
CONSOLE = (
    "[    0.000000] Linux version 6.1.0",
    "Cloud-init v. 22.4.2 running 'init-local' at Fri, 20 Nov 2026 12:00:00 +0000. Up 5.00 seconds.",
    f"celeriac: host-key {HOST_KEY}",
    "celeriac: login debian",
    "celeriac: stage code",
    "celeriac: stage environment",
    "celeriac: stage services",
    f"celeriac: ready {COMMIT}",
)


class FakeTime:
    """Passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class FakeSurroundings:
    """A service that answers once the console has said so, or never; SSH that writes down what it is asked.

    `names` are what the DNS knows, `answers` what commands print over SSH, `refusals` how those end that have a word in
    them.
    """

    ready_after_looks: int | None = 6
    address: str | None = "198.51.100.7/32"
    pushed: list[tuple[str, str, str, tuple[str, ...]]] = field(default_factory=list)
    executed: list[tuple[str, ...]] = field(default_factory=list)
    answers: dict[tuple[str, ...], str] = field(default_factory=dict)
    refusals: dict[str, Exception] = field(default_factory=dict)
    push_failures: list[Exception] = field(default_factory=list)
    towards: list[str] = field(default_factory=list)
    looks: int = 0
    has_certificate: bool = True
    names: dict[str, str] = field(default_factory=dict)
    asked_as: list[tuple[str, str]] = field(default_factory=list)

    def own_address(self, towards: str) -> str | None:
        self.towards.append(towards)
        return self.address

    def is_ready(self, url: str) -> bool:
        self.looks += 1
        return self.ready_after_looks is not None and self.looks > self.ready_after_looks

    def is_ready_as(self, domain: str, address: str) -> bool:
        self.asked_as.append((domain, address))
        return self.has_certificate and self.is_ready("")

    def points_to(self, domain: str, address: str) -> bool:
        return self.names.get(domain) == address

    def push(self, commit: str, *, address: str, login: str, host_keys: Sequence[str]) -> None:
        if self.push_failures:
            raise self.push_failures.pop(0)
        self.pushed.append((commit, address, login, tuple(host_keys)))

    def execute(self, *command: str, address: str, login: str, host_keys: Sequence[str]) -> str:
        for word in self.refusals.keys() & set(command):
            raise self.refusals[word]
        self.executed.append((address, *command))
        return self.answers.get(command, "")


@dataclass
class World:
    """A cloud, what is around it, and a launcher at work in it."""

    cloud: FakeCloud
    around: FakeSurroundings
    time: FakeTime = field(default_factory=FakeTime)
    notes: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing carries a mark."""
        return self.cloud.belongings().is_empty

    def clock(self, timeout_s: float) -> Clock:
        return Clock(timeout_s, self.time.now, self.time.sleep)

    def tools(self, *, timeout_s: float = 600) -> Tools:
        clock = self.clock(timeout_s)
        said = self.notes.append
        report = TimedReport(lambda: clock.elapsed_s, show=lambda _stage: None, note=said, warn=said)
        return Tools(self.cloud, self.around, clock, report)

    def launch(self, request: LaunchRequest, *, keeps: bool = False, timeout_s: float = 600) -> Launched:
        return launch(replace(request, keeps=keeps), self.tools(timeout_s=timeout_s))


def wanted(name: str = "lab", **more: object) -> LaunchRequest:
    """A request that says what cannot be guessed."""
    code = CodeRequest(REPOSITORY, COMMIT)
    return LaunchRequest(**({"name": name, "flavor": "m1.small", "code": code} | more))  # type: ignore[arg-type]
