"""A RabbitMQ node of the tests' own, which they may stop, kill, start and wipe."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from testing.processes import ServiceError, end, free_ports, spawn, temporary_directory, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

# Debian's wrapper on PATH insists on root and hides the node from signals; the script it wraps does neither.
PROGRAMS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")

CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
log.console = false
log.file.level = warning
disk_free_limit.absolute = 50MB
"""


def find_rabbitmq() -> str | None:
    """The program that starts a node, if RabbitMQ and what the tests steer it with are installed."""
    if shutil.which("epmd") is None or shutil.which("erl_call") is None:
        return None
    return next((found for program in PROGRAMS if (found := shutil.which(program))), None)


class RabbitMQNode:
    """One node with its own Erlang port mapper, ports, cookie, password and data, all in its directory."""

    def __init__(self, directory: Path, program: str) -> None:
        self.directory = directory
        self.user, self.password = "tests", secrets.token_urlsafe(16)
        self.port, self._distribution_port, self._epmd_port = free_ports(3)
        self._name = f"celeriac-{secrets.token_hex(4)}@localhost"
        self._cookie = secrets.token_hex(16)
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._write_configuration()
        self._epmd = spawn(
            ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            directory=directory,
            env=self._env(),
            log="epmd.log",
        )

    @property
    def pid(self) -> int | None:
        """The process that a test may signal; None while the node is down."""
        return None if self._process is None else self._process.pid

    def url(self, vhost: str = "/") -> str:
        """Where Celery finds a virtual host, password included."""
        return f"amqp://{self.user}:{self.password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def start(self) -> Self:
        """Start the node, with what it stored before, and wait until it takes connections."""
        if self._process is None or self._process.poll() is not None:
            self._process = spawn([self._program], directory=self.directory, env=self._env())
            wait_until(self._is_running, what="the RabbitMQ node is running")
        return self

    def stop(self) -> None:
        """Stop the node as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the node at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def settle(self) -> None:
        """Let the node write to disk what it otherwise writes some seconds later.

        RabbitMQ 3.10 keeps its list of quorum queues in DETS files: killed within seconds of declaring one, it may know
        the queue and not its members when it starts again, and that queue then never answers.
        """
        self.evaluate("[dets:sync(Table) || Table <- dets:all()]")

    def close(self) -> None:
        """End everything that was started. The directory's owner removes the data."""
        self.kill()
        end(self._epmd, by=signal.SIGKILL)

    def add_vhost(self, vhost: str) -> None:
        """Make an empty virtual host that the tests' user may do everything in."""
        everything = '<<".*">>'
        self.evaluate(
            f'rabbit_vhost:add(<<"{vhost}">>, <<"tests">>),'
            f'rabbit_auth_backend_internal:set_permissions(<<"{self.user}">>, <<"{vhost}">>,'
            f' {everything}, {everything}, {everything}, <<"tests">>)'
        )

    def delete_vhost(self, vhost: str) -> None:
        """Remove a virtual host and all its queues; its connections are closed."""
        self.evaluate(f'rabbit_vhost:delete(<<"{vhost}">>, <<"tests">>)')

    def wipe(self, vhost: str) -> None:
        """Forget all queues, exchanges and messages of a virtual host, as after the loss of the disk."""
        self.delete_vhost(vhost)
        self.add_vhost(vhost)

    def evaluate(self, erlang: str) -> str:
        """Run an Erlang expression inside the node: rabbitmqctl does the same in 500 times the time.

        Raises:
            ServiceError: The node is down or the expression failed.
        """
        command = ["erl_call", "-n", self._name, "-c", self._cookie, "-timeout", "20", "-e"]
        answer = subprocess.run(
            command, input=f"{erlang}.\n", env=self._env(), capture_output=True, text=True, check=False
        )
        result = answer.stdout.strip()
        if answer.returncode or not result.startswith("{ok,") or "'EXIT'" in result or "{error," in result:
            raise ServiceError(f"{erlang}: {result or answer.stderr.strip()}")
        return result.removeprefix("{ok, ").removesuffix("}")

    def _is_running(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise ServiceError(f"RabbitMQ did not start:\n{(self.directory / 'output.log').read_text()}")
        try:
            return self.evaluate("rabbit:is_running()") == "true" and self._takes_connections()
        except ServiceError:
            return False

    def _takes_connections(self) -> bool:
        return "true" in self.evaluate(
            f"lists:keymember({self.port}, 6, rabbit_networking:active_listeners())"
        )

    def _end(self, by: signal.Signals) -> None:
        if self._process is not None:
            end(self._process, by=by)
            self._process = None

    def _write_configuration(self) -> None:
        configuration = CONFIGURATION.format(port=self.port, user=self.user, password=self.password)
        (self.directory / "rabbitmq.conf").write_text(configuration)
        (self.directory / "enabled_plugins").write_text("[].\n")
        cookie = self.directory / ".erlang.cookie"
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)

    def _env(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.directory),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            # Schedulers that spin while they have nothing to do take a third more processor for a boot.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"
            " +sbwt none +sbwtdcpu none +sbwtdio none",
            # Believing in systemd, the script becomes the node instead of staying its parent: signals arrive.
            "NOTIFY_SOCKET": str(self.directory / "no-systemd"),
        }


@contextlib.contextmanager
def rabbitmq_node(program: str) -> Iterator[RabbitMQNode]:
    """A running node; afterwards its processes and files are gone."""
    with temporary_directory("rabbitmq") as directory:
        node = RabbitMQNode(directory, program)
        try:
            yield node.start()
        finally:
            node.close()


@contextlib.contextmanager
def new_vhost(node: RabbitMQNode) -> Iterator[str]:
    """The name of an empty virtual host; afterwards it is gone."""
    name = f"test-{secrets.token_hex(6)}"
    node.start().add_vhost(name)
    try:
        yield name
    finally:
        node.start().delete_vhost(name)
