"""A running service as its clients see it, over HTTP."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from testing.processes import wait_until

ROOT = Path(__file__).parents[1]


def predict(url: str, *arguments: str, key: str, fingerprint: str = "") -> str:
    """What the command line client says of a prediction by the service at `url`."""
    command = [sys.executable, "-m", "client", "predict", "--url", url, *arguments]
    env = os.environ | {"CELERIAC_KEY": key}
    if fingerprint:
        env["CELERIAC_FINGERPRINT"] = fingerprint
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class WebService:
    """The service that answers at `url`, whatever runs it; `web` asks it."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Reads are repeated: a test that restarts things may find the connection closed.
        self.web = httpx.Client(base_url=url, timeout=60, transport=httpx.HTTPTransport(retries=3))

    def is_ready(self) -> bool:
        """Whether /readyz says yes."""
        with contextlib.suppress(httpx.HTTPError):
            return self.web.get("/readyz").status_code == 200
        return False

    def wait_until_ready(self) -> None:
        """Wait until /readyz says yes."""
        wait_until(self.is_ready, what="the service is ready")

    def submit(self, model: str, inputs: list[Any], **more: Any) -> dict[str, Any]:
        """Submit a job; it must be accepted."""
        response = self.web.post("/api/jobs", json={"model": model, "inputs": inputs} | more)
        assert response.status_code in (200, 202), response.text
        job: dict[str, Any] = response.json()
        return job

    def job(self, job: dict[str, Any]) -> dict[str, Any]:
        """A job as it stands."""
        shown: dict[str, Any] = self.web.get(job["links"]["self"]).raise_for_status().json()
        return shown

    def wait_for(self, job: dict[str, Any], *, done: int | None = None) -> dict[str, Any]:
        """Wait until `done` items of a job (all, if not said) are over."""
        wanted = job["total"] if done is None else done

        def is_done() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                shown = self.job(job)
                return bool(shown["succeeded"] + shown["failed"] + shown["cancelled"] >= wanted)
            return False

        wait_until(is_done, what=f"{wanted} items of {job['id']} are done", timeout_s=240)
        return self.job(job)

    def imported(self, name: str, file: Path) -> dict[str, Any]:
        """Send a model's file, and wait until its import is over; gives the import."""
        with file.open("rb") as opened:
            sent = self.web.post("/api/models", data={"name": name}, files={"file": opened})
        assert sent.status_code == HTTPStatus.ACCEPTED, sent.text
        link = sent.json()["links"]["self"]
        wait_until(
            lambda: self.web.get(link).json()["finished"] is not None, what=f"the import of {name} is over"
        )
        shown: dict[str, Any] = self.web.get(link).json()
        return shown

    def results(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """All items of a job."""
        items: list[dict[str, Any]] = self.web.get(job["links"]["results_json"]).json()["results"]
        return items
