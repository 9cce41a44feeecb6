"""Seconds from `git clone` to the first prediction: clone, `make run`, set-up and model loading included."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from testing.celeriac import ROOT
from testing.processes import free_ports

LIMIT_S = 600
ROW = {"model": "diabetes", "inputs": [[6, 148, 72, 35, 0, 33.6, 0.627, 50]]}


@dataclass(frozen=True)
class Clone:
    """A fresh clone whose service answers; `seconds` is how long that took, `log` what was said meanwhile."""

    folder: Path
    url: str
    seconds: float
    log: str


def measure() -> float:
    """Seconds until the service that a fresh clone starts answers a prediction.

    Raises:
        RuntimeError: it did not within ten minutes.
    """
    with fresh_clone() as clone:
        return clone.seconds


@contextlib.contextmanager
def fresh_clone(**variables: str) -> Iterator[Clone]:
    """A clone of HEAD in which `make run` was called, with these variables; it answers. Afterwards it is gone.

    Raises:
        RuntimeError: it did not answer within ten minutes.
    """
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="celeriac-clone-") as folder:
        begun = time.monotonic()
        clone, log = Path(folder, "celeriac"), Path(folder, "log")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        # `make bench` would hand its own arguments down to `make run`.
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in ("MAKEFLAGS", "MFLAGS", "ARGS", "PYTHONPATH")
        }
        with log.open("wb") as file:
            run = subprocess.Popen(
                ["make", "run"],
                cwd=clone,
                env=kept | {"PORT": str(port)} | variables,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_for_a_prediction(url, begun, run, log)
            yield Clone(clone, url, time.monotonic() - begun, log.read_text())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGTERM)
            run.wait()


def _wait_for_a_prediction(url: str, begun: float, run: subprocess.Popen[bytes], log: Path) -> None:
    with httpx.Client(base_url=url, timeout=30) as web:
        while time.monotonic() - begun < LIMIT_S and run.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if web.post("/api/jobs", json=ROW, headers={"Prefer": "wait=20"}).status_code == 200:
                    return
            time.sleep(0.1)
    raise RuntimeError(
        f"no prediction within {LIMIT_S} s, or the service ended: {run.poll()}\n{log.read_text()}"
    )
