"""Seconds from `git clone` to the first prediction: clone, `make run`, set-up and model loading included."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import httpx

from testing.celeriac import ROOT
from testing.processes import free_ports

LIMIT_S = 600


def measure() -> float:
    """Seconds until the service that a fresh clone starts answers a prediction.

    Raises:
        RuntimeError: it did not within ten minutes.
    """
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="celeriac-clone-") as folder:
        begun = time.monotonic()
        clone = Path(folder, "celeriac")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        # `make bench` would hand its own arguments down to `make run`.
        kept = {
            name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "ARGS")
        }
        environ = kept | {"PORT": str(port)}
        with Path(folder, "log").open("wb") as log:
            run = subprocess.Popen(
                ["make", "run"], cwd=clone, env=environ, stdout=log, stderr=log, start_new_session=True
            )
        try:
            return _first_prediction(port, begun, run)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGTERM)
            run.wait()


def _first_prediction(port: int, begun: float, run: subprocess.Popen[bytes]) -> float:
    row = {"model": "diabetes", "inputs": [[6, 148, 72, 35, 0, 33.6, 0.627, 50]]}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as web:
        while time.monotonic() - begun < LIMIT_S and run.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if web.post("/api/jobs", json=row, headers={"Prefer": "wait=20"}).status_code == 200:
                    return time.monotonic() - begun
            time.sleep(0.1)
    raise RuntimeError(f"no prediction within {LIMIT_S} s, or the service ended: {run.poll()}")
