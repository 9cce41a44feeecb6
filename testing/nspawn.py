"""Machines with a real systemd and a real cloud-init: containers of systemd-nspawn with a network of their own.

The tree that they start from is built by the rig. In a guest the address 10.0.2.2 is this machine.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from client.launcher.machine.user_data import encode
from testing.processes import ServiceError, end, free_ports, spawn, temporary_directory, wait_until
from testing.rig import STATE, install, make_once

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "10.0.2.2"
GUEST = "10.0.2.100"
REBOOT_S = 90
PROGRAMS = ("systemd-nspawn", "slirp4netns", "ip", "nsenter")
PACKAGES = ("systemd-container", "slirp4netns", "iproute2", "util-linux")
SUITE = os.environ.get("TEST_SUITE", "bookworm")
NETWORK_UNITS = (
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-networkd-wait-online.service",
    "systemd-resolved.service",
)


def root_tree(rig: Path) -> Path:
    """The tree of a machine that never booted, built if it is not there; what it needs is installed."""
    if not all(map(shutil.which, PROGRAMS)):
        install(*PACKAGES)
    work = STATE / "vm" / ("build" if SUITE == "bookworm" else f"build-{SUITE}")
    image = STATE / "vm" / f"debian-{SUITE}.qcow2"
    # The file is written when the tree is complete.
    make_once(work / "root_mb", rig / "vm-image.sh", str(image), SUITE=SUITE, WORK=str(work))
    return work / "root"


class Machine:
    """One container and its disk. It may be rebooted, cut off and started again; its ports are on 127.0.0.1."""

    def __init__(self, directory: Path, tree: Path) -> None:
        self.directory = directory
        self.disk = directory / "root"
        self.name = f"celeriac-{secrets.token_hex(3)}"
        self.ssh_port, self.http_port = free_ports(2)
        self.url = f"https://127.0.0.1:{self.http_port}"
        self._container: subprocess.Popen[bytes] | None = None
        self._network: subprocess.Popen[bytes] | None = None
        self._copy(tree)

    def _copy(self, tree: Path) -> None:
        # Whoever built the tree may have left its /proc mounted: a copy of that has no end.
        subprocess.run(["cp", "-a", "-x", "--reflink=auto", str(tree), str(self.disk)], check=True)
        # The network is there before the machine is.
        (self.disk / "etc/cloud/cloud.cfg.d/99_network.cfg").write_text("network: {config: disabled}\n")
        (self.disk / "etc/fstab").write_text("")
        for unit in NETWORK_UNITS:
            link = self.disk / "etc/systemd/system" / unit
            link.unlink(missing_ok=True)
            link.symlink_to("/dev/null")
        resolver = self.disk / "etc/resolv.conf"
        resolver.unlink(missing_ok=True)
        resolver.write_text("nameserver 10.0.2.3\n")

    def seed(self, user_data: str) -> None:
        """Give the machine its user-data, under a new instance id: the next boot is a first boot."""
        folder = self.disk / "var/lib/cloud/seed/nocloud"
        folder.mkdir(parents=True, exist_ok=True)
        # As it comes from a cloud.
        (folder / "user-data").write_bytes(base64.b64decode(encode(user_data)))
        identity = f"instance-id: {self.name}-{secrets.token_hex(3)}\nlocal-hostname: {self.name}\n"
        (folder / "meta-data").write_text(identity)

    def start(self) -> Self:
        """Power the machine on; it boots."""
        if self._network is None:
            self._network = self._connect()
        # Killed, it would leave the guest running: should the tests be killed, it is asked to stop.
        command = ["setpriv", "--pdeathsig", "TERM", "systemd-nspawn", "--quiet", "--boot"]
        command += [f"--directory={self.disk}", f"--machine={self.name}"]
        command += ["--register=no", "--keep-unit", "--resolv-conf=off", "--timezone=off"]
        command += [f"--network-namespace-path=/run/netns/{self.name}", "--console=read-only"]
        env = _clean_env()
        if SUITE != "bookworm":
            # A newer systemd does not boot on the first version of control groups.
            env["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1"
        self._container = spawn(command, directory=self.directory, env=env, log="console.log")
        wait_until(lambda: self._leader() is not None, what="the container has started")
        return self

    def _connect(self) -> subprocess.Popen[bytes]:
        """A network namespace that reaches the world through a process, with two ports forwarded to it."""
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        control = self._control
        command = ["slirp4netns", "--configure", "--mtu=1500", "--netns-type=path", f"--api-socket={control}"]
        command += [f"/run/netns/{self.name}", "tap0"]
        process = spawn(command, directory=self.directory, env=_clean_env(), log="network.log")
        wait_until(control.exists, what="the network is there")
        for host_port, guest_port in ((self.ssh_port, 22), (self.http_port, 5100)):
            _forward(control, host_port, guest_port)
        return process

    @property
    def _control(self) -> Path:
        return self.directory / "network.sock"

    def forward(self, guest_port: int) -> int:
        """The port of 127.0.0.1 at which one more port of the running machine is reached."""
        (host_port,) = free_ports(1)
        _forward(self._control, host_port, guest_port)
        return host_port

    def _leader(self) -> int | None:
        """The process id of the guest's systemd."""
        if self._container is None:
            return None
        path = Path(f"/proc/{self._container.pid}/task/{self._container.pid}/children")
        children = path.read_text().split() if path.exists() else []
        return int(children[0]) if children else None

    @property
    def console(self) -> str:
        """All that the machine has written to its console."""
        return (self.directory / "console.log").read_text(errors="replace")

    def run(
        self, *command: str, check: bool = True, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root in the machine.

        Raises:
            ServiceError: It failed, and `check` is true.
        """
        entered = [
            "nsenter",
            f"--target={self._leader()}",
            "--all",
            "--root",
            "--wd",
            "env",
            "-i",
            *_GUEST_ENV,
            *command,
        ]
        done = subprocess.run(entered, capture_output=True, text=True, check=False, timeout=timeout_s)
        if check and done.returncode != 0:
            raise ServiceError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def ask(self, *command: str) -> str:
        """What a command says, whether it succeeds or not."""
        return self.run(*command, check=False).stdout.strip()

    def cloud_init_status(self, *, timeout_s: float = 300) -> dict[str, Any]:
        """How first boot ended, once it has."""
        wait_until(
            lambda: self.run("test", "-d", "/run/cloud-init", check=False).returncode == 0, what="cloud-init"
        )
        done = self.run("cloud-init", "status", "--wait", "--format=json", check=False, timeout_s=timeout_s)
        # While it waits it writes a dot now and then.
        status: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
        return status

    def reboot(self) -> None:
        """Reboot in order; returns when the machine boots again."""
        assert self._container is not None
        self.run("systemctl", "reboot", check=False)
        # The container ends, and whoever keeps it is asked to start it again.
        self._container.wait(REBOOT_S)
        self.start()

    def cut_power(self) -> None:
        """Stop at once, whatever it is doing; `start` boots what is on its disk."""
        if (leader := self._leader()) is not None:
            os.kill(leader, signal.SIGKILL)
        if self._container is not None:
            end(self._container, timeout_s=90)
            self._container = None

    def power_off(self) -> None:
        """Shut down in order."""
        if self._container is not None:
            end(self._container, by=signal.SIGTERM, timeout_s=90)
            self._container = None

    def close(self) -> None:
        """End everything that was started."""
        self.cut_power()
        if self._network is not None:
            end(self._network)
            subprocess.run(["ip", "netns", "delete", self.name], check=True)


@contextlib.contextmanager
def machine(tree: Path) -> Iterator[Machine]:
    """A machine that is off and has no user-data yet; afterwards its processes and files are gone."""
    with temporary_directory("machine") as directory:
        made = Machine(directory, tree)
        try:
            yield made
        finally:
            made.close()


_GUEST_ENV = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL=C.UTF-8",
    "HOME=/root",
)


def _clean_env() -> dict[str, str]:
    # The scripts need Debian's Python, not that of a virtual environment.
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "DEBIAN_FRONTEND": "noninteractive",
    }


def _forward(control: Path, host_port: int, guest_port: int) -> None:
    arguments = {"proto": "tcp", "host_addr": "127.0.0.1", "host_port": host_port}
    arguments |= {"guest_addr": GUEST, "guest_port": guest_port}
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(control))
        client.sendall(json.dumps({"execute": "add_hostfwd", "arguments": arguments}).encode())
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(4096).decode()
    if "error" in answer:
        raise ServiceError(f"port {host_port} could not be forwarded: {answer}")
