"""Starts a peer's server in its own environment, and ends all of it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.inputs import expected
from benchmarks.load import Call
from benchmarks.memory import descendants, resident_mib
from benchmarks.peers.catalogue import Peer
from testing.processes import ServiceError, free_ports, temporary_directory, wait_until

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".venv-peers"
MARK = "PEER_RUN"
"""A variable in the environment of each process of a server: daemons leave its session and its process group."""
LIMIT_S = 90
PATIENCE_S = 10


@dataclass(frozen=True)
class Server:
    """A peer's server that runs."""

    peer: Peer
    model: str
    file: Path
    url: str
    mark: str

    @property
    def call(self) -> Call:
        return self.peer.call(self.url, self.model)

    def pids(self) -> list[int]:
        """All its processes."""
        return _marked(self.mark)


@contextlib.contextmanager
def server(
    peer: Peer, model: str, file: Path, more_settings: Mapping[str, Any], broker_url: str = ""
) -> Iterator[Server]:
    """A server of one model's ONNX file that answers what the engine answers; afterwards all its processes are gone.

    Raises:
        ServiceError: it does not start; the message has its output.
    """
    ports = free_ports(3)
    settings = {**peer.settings, **more_settings}
    more = {"grpc_port": ports[1], "metrics_port": ports[2]} if peer.server == "mlserver" else {}
    mark = secrets.token_hex(8)
    with temporary_directory("peer") as folder:
        environ = {
            "PATH": f"{ENVIRONMENTS / peer.server / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "PEER_PORT": str(ports[0]),
            "PEER_MODEL": model,
            "PEER_FILE": str(file),
            "PEER_SETTINGS": json.dumps(
                {name: value for name, value in settings.items() if name.islower()} | more
            ),
            "BROKER_URL": broker_url,
            MARK: mark,
        } | {name: str(value) for name, value in settings.items() if name.isupper()}
        process = _start(peer, folder, environ)
        try:
            running = Server(peer, model, file, f"http://127.0.0.1:{ports[0]}", mark)
            _wait_until_right(running, process, folder)
            yield running
        finally:
            _end(mark)
            process.wait()


def _start(peer: Peer, folder: Path, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [
        str(ENVIRONMENTS / peer.server / "bin" / "python"),
        "-m",
        f"benchmarks.peers.{peer.server}_server",
    ]
    with (folder / "output.log").open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def _wait_until_right(running: Server, process: subprocess.Popen[bytes], folder: Path) -> None:
    found: list[object] = []

    def is_right() -> bool:
        if process.poll() is not None:
            raise ServiceError("the server has ended")
        found[:] = [answer_of(running.call)]
        wanted = expected(running.file, running.model)
        with contextlib.suppress(LookupError, TypeError, ValueError):
            return np.allclose(running.peer.probabilities(found[0]), wanted, atol=1e-4)
        return False

    try:
        wait_until(is_right, what="the probabilities are the engine's", timeout_s=LIMIT_S)
    except ServiceError as exc:
        output = (folder / "output.log").read_text(errors="replace")[-4000:]
        raise ServiceError(
            f"{running.peer.name}: {exc}; its last answer: {found}; its output:\n{output}"
        ) from exc


def answer_of(call: Call) -> object:
    """What is answered; None if nothing is."""
    with contextlib.suppress(httpx.HTTPError):
        answer = httpx.post(call.url, content=call.body, headers=dict(call.headers), timeout=10)
        with contextlib.suppress(ValueError):
            return answer.json()
        return answer.text
    return None


def _end(mark: str) -> None:
    """Ask all processes to end, and kill those that have not after a while."""
    pids = set(_marked(mark))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + PATIENCE_S
        while (pids := _alive(pids | set(_marked(mark)))) and time.monotonic() < deadline:
            time.sleep(0.1)


def _alive(pids: set[int]) -> set[int]:
    """Those that hold memory: what has ended and was not yet waited for holds none."""
    return {pid for pid in pids if resident_mib(pid)}


def _marked(mark: str) -> list[int]:
    """All processes of a server: those with the mark, and what they started, for some overwrite their environment."""
    found: set[int] = set()
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.update(descendants(int(folder.name)))
    return sorted(found)
