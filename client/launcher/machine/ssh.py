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
# What another try will not mend.
FINAL = ("Permission denied", "Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED")


def known_hosts_file(name: str) -> Path:
    """Where the host keys of one instance are kept.

    Raises:
        InputError: This user has no home.
    """
    state = os.environ.get("XDG_STATE_HOME")
    try:
        folder = Path(state) if state else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise InputError("there is no home directory to keep host keys in: set XDG_STATE_HOME") from error
    return folder / "celeriac" / f"{name}.known_hosts"


@dataclass(frozen=True)
class SecureShell:
    """A way into one instance: who logs in, with which key, and how the instance proves itself."""

    address: str
    login: str
    known_hosts: Path
    identity: Path | None = None

    def command(self) -> list[str]:
        """What a user types to get in."""
        return ["ssh", *self._identity(), "-o", self._known_hosts_option, self._destination]

    def git_command(self) -> str:
        """What git runs to get in, as its setting core.sshCommand takes it."""
        return shlex.join(["ssh", *self._identity(), "-o", self._known_hosts_option])

    def trust(self, host_keys: Sequence[str]) -> None:
        """Keep the keys by which the instance is known from now on; without any, those that were kept before."""
        if not host_keys:
            return
        self.known_hosts.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.known_hosts.write_text("".join(f"{self.address} {key}\n" for key in host_keys))

    def run(self, *command: str, timeout_s: float) -> str:
        """Run a command there and answer what it prints.

        Raises:
            Unavailable: There is no way in, or the command failed, or took too long.
        """
        return _run([*self._ssh(), "--", self._destination, shlex.join(command)], timeout_s=timeout_s)

    def push(self, commit: str, *, checkout: Path, timeout_s: float) -> None:
        """Push one commit of a checkout into the repository that waits there; again does nothing.

        Raises:
            Unavailable: As `run`.
        """
        url = f"ssh://{self.login}@{self._host}{CODE}"
        # Without this user's hooks, which may run tests for minutes.
        push = ["git", "-C", str(checkout), "push", "--quiet", "--no-verify", url]
        _run(
            [*push, f"{commit}:refs/heads/upload-{commit}"],
            timeout_s=timeout_s,
            GIT_SSH_COMMAND=shlex.join(self._ssh()),
        )

    @property
    def _host(self) -> str:
        return f"[{self.address}]" if ":" in self.address else self.address

    @property
    def _destination(self) -> str:
        return f"{self.login}@{self.address}"

    @property
    def _known_hosts_option(self) -> str:
        # ssh splits at spaces, and replaces what follows a percent sign.
        path = str(self.known_hosts).replace("%", "%%")
        return f'UserKnownHostsFile="{path}"' if " " in path else f"UserKnownHostsFile={path}"

    def _identity(self) -> list[str]:
        # No other key is offered then: servers refuse after some.
        return [] if self.identity is None else ["-i", str(self.identity), "-o", "IdentitiesOnly=yes"]

    def _ssh(self) -> list[str]:
        settings = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT_TIMEOUT_S),
            "ServerAliveInterval": "15",
            "StrictHostKeyChecking": "yes",
            "GlobalKnownHostsFile": "none",
        }
        options = (part for name, value in settings.items() for part in ("-o", f"{name}={value}"))
        return ["ssh", *self._identity(), *options, "-o", self._known_hosts_option]


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
    said = _reason(done.stderr) or f"{command[0]}: exit code {done.returncode}"
    # 255 is ssh's own: the way in, not the command. git passes 128 on.
    is_passing = done.returncode in {128, 255} and not any(word in said for word in FINAL)
    raise Unavailable(said, is_passing=is_passing)


def _reason(stderr: str) -> str:
    """What ssh says of the way in; else the last line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    final = [line for line in lines if any(word in line for word in FINAL)]
    of_ssh = [line for line in lines if line.startswith(("ssh: ", "kex_", "Connection "))]
    return f"ssh: {(final or of_ssh)[0].removeprefix('ssh: ')}" if final or of_ssh else "".join(lines[-1:])
