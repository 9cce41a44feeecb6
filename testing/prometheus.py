"""A Prometheus of the tests' own, with the repository's alerts and ways to scrape."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from testing.processes import end, free_ports, spawn, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FOLDER = Path(__file__).parents[1] / "docker" / "prometheus"


def find_prometheus() -> str | None:
    """The program, if it is installed with the tool that checks its files."""
    return shutil.which("prometheus") if shutil.which("promtool") else None


class Prometheus:
    """One that answers at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer of its API."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=query, timeout=30)
        assert answer.status_code == 200, (query, answer.text)
        return answer.json()["data"]

    def values(self, expression: str) -> list[float]:
        """What an expression is now, of each series."""
        return [float(series["value"][1]) for series in self.ask("query", query=expression)["result"]]


@contextlib.contextmanager
def prometheus(directory: Path, program: str, targets: Mapping[str, Sequence[str]]) -> Iterator[Prometheus]:
    """One that scrapes these targets of each job, every second, and nothing else."""
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(FOLDER / Path(file).name) for file in configuration["rule_files"]]
    configuration["scrape_configs"] = [
        {"job_name": job["job_name"], "static_configs": [{"targets": list(targets[job["job_name"]])}]}
        for job in configuration["scrape_configs"]
        if job["job_name"] in targets
    ]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    (port,) = free_ports(1)
    flags = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = spawn([program, *flags], directory=directory, env=dict(os.environ), log="prometheus.log")
    try:
        running = Prometheus(f"http://127.0.0.1:{port}")
        wait_until(lambda: _is_ready(running.url), what="Prometheus is ready")
        yield running
    finally:
        end(process)


def _is_ready(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/-/ready").status_code == 200
    return False
