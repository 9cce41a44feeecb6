"""Watches one instance come up; what goes wrong with it is raised, with the end of its console and what to try."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from client.errors import InstanceFailed, Unavailable
from client.launcher.doing.clock import TimeIsUp
from client.launcher.doing.report import minutes
from client.launcher.machine import console
from client.launcher.machine.advice import advice_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from client.launcher.cloud import Server
    from client.launcher.doing.tools import Tools
    from client.launcher.machine.console import BootProgress

SERVER_POLL_S = 1.0
SERVICE_POLL_S = 2.0
LOG_LINES = 25

# What an instance writes to its console is not to be trusted: this ends up in a command line.
_LOGIN = re.compile(r"[a-z_][a-z0-9_-]{0,31}")

T = TypeVar("T")


class Watch:
    """One server, from when it was asked for. `name` is the instance's."""

    def __init__(self, name: str, server_id: str, tools: Tools) -> None:
        self._name = name
        self._server_id = server_id
        self._tools = tools

    def until_active(self) -> Server:
        """Wait until the cloud has booted the server.

        Raises:
            InstanceFailed: It could not, the server is gone, or time is up. As all that follow.
        """
        while (server := self._server()).status != "ACTIVE":
            self._say(f"the cloud boots the server: {server.task or server.status.lower()}")
            self._pause(SERVER_POLL_S, waiting_for="the cloud has booted the server")
        return server

    def until_pushed(self, commit: str, *, address: str, is_ready: Callable[[], bool]) -> None:
        """Push the commit as soon as the console has shown the host keys; not needed if the service is ready.

        Raises:
            Unavailable: The instance refuses us.
        """
        failure: Unavailable | None = None
        while not is_ready():
            progress = self.progress()
            if progress.host_keys and progress.login:
                try:
                    self._tools.surroundings.push(
                        commit, address=address, login=progress.login, host_keys=progress.host_keys
                    )
                except Unavailable as error:
                    # sshd, or git, is not there yet.
                    if not error.is_passing:
                        raise
                    failure = error
                else:
                    return
            tried = "" if failure is None else f" (the last try: {failure})"
            self._pause(SERVICE_POLL_S, waiting_for=f"the instance took the code{tried}")

    def until_ready(self, is_ready: Callable[[], bool], *, console_counts: bool = False) -> BootProgress:
        """Wait until the service, or if that counts its console, says that it is ready.

        Returns what the console says then.
        """
        while not is_ready():
            if self.progress().is_ready and console_counts:
                break
            self._pause(SERVICE_POLL_S, waiting_for="the service was ready")
        return _trusted(console.read(self._console()))

    def progress(self) -> BootProgress:
        """Look at the server and at its console."""
        self._server()
        log = self._patiently(self._console)
        progress = _trusted(console.read(log))
        self._say(progress.stage)
        if progress.failure is not None:
            raise InstanceFailed(
                f"the first boot of {self._name} failed: {progress.failure}",
                log=_end_of(log),
                advice=advice_for(progress.failure),
            )
        return progress

    def _server(self) -> Server:
        server = self._patiently(lambda: self._tools.cloud.server(self._server_id))
        if server is None:
            raise InstanceFailed(f"server {self._name} is gone: somebody deleted it")
        if server.status == "ERROR":
            fault = server.fault or "it does not say why"
            raise InstanceFailed(f"the cloud could not boot {self._name}: {fault}", advice=advice_for(fault))
        return server

    def _console(self) -> str:
        return self._tools.cloud.console(self._server_id)

    def _patiently(self, read: Callable[[], T]) -> T:
        try:
            return self._tools.patiently(read)
        except TimeIsUp as error:
            raise self._time_is_up("the cloud answered again", log="") from error

    def _pause(self, seconds: float, *, waiting_for: str) -> None:
        try:
            self._tools.clock.pause(seconds)
        except TimeIsUp as error:
            raise self._time_is_up(waiting_for, log=self._last_words()) from error

    def _time_is_up(self, waiting_for: str, *, log: str) -> InstanceFailed:
        elapsed = minutes(self._tools.clock.elapsed_s)
        return InstanceFailed(
            f"time is up after {elapsed}, before {waiting_for}", log=log, advice=advice_for("time is up")
        )

    def _last_words(self) -> str:
        try:
            return _end_of(self._console())
        except Unavailable:
            return ""

    def _say(self, text: str) -> None:
        self._tools.report.stage(text)


def _trusted(progress: BootProgress) -> BootProgress:
    is_name = progress.login is not None and _LOGIN.fullmatch(progress.login)
    return progress if is_name else replace(progress, login=None)


def _end_of(log: str) -> str:
    return "\n".join(log.splitlines()[-LOG_LINES:])
