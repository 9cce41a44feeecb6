"""A Prometheus, told by docker/prometheus, scrapes the service; alerts and the dashboard are asked of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testing.celeriac import celeriac
from testing.processes import free_ports, wait_until
from testing.prometheus import FOLDER, Prometheus, find_prometheus, prometheus
from tests.conftest import must_have

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "docker" / "grafana" / "celeriac.json"
VARIABLES = {"$__rate_interval": "1m", "$model": ".*"}
"""What Grafana would put in."""


@pytest.fixture(scope="module")
def program() -> str:
    return must_have(find_prometheus(), "Prometheus")


@pytest.fixture
def watched(
    program: str,
    tmp_path: Path,
    model_store: str,
    broker_url: str,
) -> Iterator[Prometheus]:
    """One that has seen two workers at work, on jobs and on calls, and failing."""
    settings = {"MODEL_STORE": model_store, "BROKER_URL": broker_url, "WORKERS": "2"}
    metrics_port = free_ports(3)[0]
    with celeriac(tmp_path, METRICS_PORT=str(metrics_port), **settings) as service:
        workers = [f"127.0.0.1:{metrics_port + number}" for number in (1, 2)]
        targets = {"web": [f"127.0.0.1:{service.port}"], "worker": workers}
        (tmp_path / "prometheus").mkdir()
        with prometheus(tmp_path / "prometheus", program, targets) as running:

            def has_seen_all() -> bool:
                service.submit("table", [[0, 1], [10, 1]])
                service.web.post("/v1/models/table:predict", json={"instances": [[0, 1]]})
                counts = running.values(
                    "min(count_over_time(up[1m])) > 3 and sum(increase(celeriac_calls_total[1m])) > 0"
                )
                return bool(counts)

            wait_until(has_seen_all, what="Prometheus has seen what there is")
            yield running


def expressions() -> dict[str, str]:
    """What the panels of the dashboard ask, by their titles."""
    found = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            found[f"{panel['title']}: {target['legendFormat']}"] = expression
    return found


def test_all_is_scraped_every_panel_shows_something_and_no_alert_fires_without_a_reason(
    watched: Prometheus,
) -> None:
    health = sorted(
        (target["labels"]["job"], target["health"]) for target in watched.ask("targets")["activeTargets"]
    )
    empty = {name for name, expression in expressions().items() if not watched.values(expression)}

    def rules() -> list[dict[str, Any]]:
        (group,) = watched.ask("rules")["groups"]
        found: list[dict[str, Any]] = group["rules"]
        return found

    wait_until(lambda: all(rule["health"] == "ok" for rule in rules()), what="every rule is evaluated")

    assert health == [("web", "up"), ("worker", "up"), ("worker", "up")]
    assert {name.split(":")[0] for name in empty} <= {
        "Chunks that ended otherwise than done",
        "Training runs",
        "Labels since the latest run",
    }
    assert [rule["name"] for rule in rules() if rule["state"] == "firing"] == []


def test_the_files_are_what_prometheus_takes_and_the_alerts_fire_when_they_shall(program: str) -> None:
    for command in (["check", "rules", str(FOLDER / "alerts.yml")], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(
            ["promtool", *command], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
