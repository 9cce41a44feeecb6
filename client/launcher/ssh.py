"""Reaches an instance by OpenSSH. Its host keys are those that its console showed: nobody can stand in between."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import InputError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

CODE = "/opt/celeriac/code.git"
CONNECT_TIMEOUT_S = 15


def known_hosts_file(name: str) -> Path:
    """Where the host keys of one instance are kept."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "celeriac" / f"{name}.known_hosts"


@dataclass(frozen=True)
class SecureShell:
    """A way into one instance: who logs in, with which key, and how the instance proves itself."""

    address: str
    login: str
    known_hosts: Path
    identity: Path | None = None

    def command(self) -> list[str]:
        """What a user types to get in."""
        return ["ssh", *self._identity(), "-o", f"UserKnownHostsFile={self.known_hosts}", self._destination]

    def trust(self, host_keys: Sequence[str]) -> None:
        """Keep the keys by which the instance is known from now on."""
        self.known_hosts.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.known_hosts.write_text("".join(f"{self.address} {key}\n" for key in host_keys))

    def run(self, *command: str, timeout_s: float) -> str:
        """Run a command there and answer what it prints.

        Raises:
            Unavailable: There is no way in, or the command failed, or took too long.
        """
        return _run([*self._ssh(), self._destination, "--", shlex.join(command)], timeout_s=timeout_s)

    def push(self, commit: str, *, checkout: Path, timeout_s: float) -> None:
        """Push one commit of a checkout into the repository that waits there; again does nothing.

        Raises:
            Unavailable: As `run`.
        """
        url = f"ssh://{self.login}@{self._host}{CODE}"
        push = ["git", "-C", str(checkout), "push", "--quiet", url, f"{commit}:refs/heads/upload-{commit}"]
        _run(push, timeout_s=timeout_s, GIT_SSH_COMMAND=shlex.join(self._ssh()))

    @property
    def _host(self) -> str:
        return f"[{self.address}]" if ":" in self.address else self.address

    @property
    def _destination(self) -> str:
        return f"{self.login}@{self.address}"

    def _identity(self) -> list[str]:
        return [] if self.identity is None else ["-i", str(self.identity)]

    def _ssh(self) -> list[str]:
        settings = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT_TIMEOUT_S),
            "ServerAliveInterval": "15",
            "StrictHostKeyChecking": "yes",
            "GlobalKnownHostsFile": "none",
            "UserKnownHostsFile": str(self.known_hosts),
        }
        options = (part for name, value in settings.items() for part in ("-o", f"{name}={value}"))
        return ["ssh", *self._identity(), *options]


def _run(command: Sequence[str], *, timeout_s: float, **env: str) -> str:
    try:
        done = subprocess.run(
            command,
            env=os.environ | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise InputError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[0]} took more than {timeout_s:.0f} s", is_passing=True) from error
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    # 255 is ssh's own: the way in, not the command. git passes 128 on.
    raise Unavailable(f"{command[0]}: {said[-1]}", is_passing=done.returncode in {128, 255})
