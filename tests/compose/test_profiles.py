"""What the profiles `monitoring` and `debug` add to the service, and to whom they show it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from testing import docker
from testing.compose_project import ComposeProject
from testing.processes import free_ports, wait_until
from tests.compose.conftest import certificate_in, certified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

SERVICES = ["flower", "prometheus", "management"]
GUEST = ("guest", "guest")


@dataclass(frozen=True, slots=True)
class Watched:
    """The service with both profiles, and what was there before."""

    project: ComposeProject
    ports: dict[str, str]
    admin: tuple[str, str]
    before: list[str]

    def up(self) -> None:
        """Start what does not run."""
        self.project.checkout.run("make", "up")

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def get(
        self, service: str, path: str, auth: tuple[str, str] | None = None, **query: str
    ) -> httpx.Response:
        return httpx.get(self.url(service) + path, params=query or None, auth=auth, timeout=30)

    def query(self, expression: str) -> dict[str, float]:
        """What Prometheus answers now, by the one label that tells the series apart."""
        answer = self.get("prometheus", "/api/v1/query", query=expression).raise_for_status().json()
        return {
            "".join(series["metric"].values()): float(series["value"][1])
            for series in answer["data"]["result"]
        }

    def workers(self) -> set[str]:
        """The workers' names as Celery has them."""
        return {f"celery@{name}" for name in self.project.containers("worker")}

    def queues(self) -> dict[str, Any]:
        """The broker's queues, by name."""
        queues = self.get("management", "/api/queues/celeriac", self.admin).raise_for_status().json()
        return {queue["name"]: queue for queue in queues}


@pytest.fixture(scope="module")
def watched(shared_project: ComposeProject) -> Iterator[Watched]:
    checkout = shared_project.checkout
    before = [*shared_project.containers(all_states=True), *docker.images_tagged(checkout.env["IMAGE_TAG"])]
    ports = dict(zip(SERVICES, map(str, free_ports(len(SERVICES))), strict=True))
    admin = "admin", checkout.passwords()["admin_password"]
    watched = Watched(shared_project, ports, admin, before)
    settings = {f"{name.upper()}_PORT": port for name, port in ports.items()}
    settings["COMPOSE_PROFILES"] = "monitoring,debug"
    checkout.env |= settings
    watched.up()
    yield watched
    checkout.compose("rm", "--stop", "--force", *SERVICES)
    for name in settings:
        del checkout.env[name]


def test_nothing_of_a_profile_is_built_or_runs_without_it(watched: Watched) -> None:
    own = re.compile("flower|prometheus|management|forward")

    assert [name for name in watched.before if own.search(name)] == []
    assert [len(watched.project.containers(service)) for service in SERVICES] == [1, 1, 1]


def test_nothing_listens_beyond_loopback_and_the_broker_nowhere(watched: Watched) -> None:
    published = {
        (port, binding["HostIp"])
        for container in docker.inspect(watched.project.containers())
        for port, bindings in container["NetworkSettings"]["Ports"].items()
        for binding in bindings or ()
    }

    assert published == {(f"{port}/tcp", "127.0.0.1") for port in (5100, 5555, 9090, 15672)}


def test_no_password_is_on_a_command_line_or_in_the_environment(watched: Watched) -> None:
    told = json.dumps(docker.inspect(watched.project.containers()))
    for container in watched.project.containers():
        told += docker.docker("top", container, "-o", "pid,args").stdout

    assert [name for name, value in watched.project.checkout.passwords().items() if value in told] == []


@pytest.mark.parametrize("auth", [None, GUEST, ("admin", "admin")])
@pytest.mark.parametrize("path", ["/", "/workers?json=1", "/tasks", "/broker", "/api/workers"])
def test_flower_refuses_whoever_has_no_login(
    watched: Watched, path: str, auth: tuple[str, str] | None
) -> None:
    assert watched.get("flower", path, auth).status_code == 401


def test_flower_shows_the_workers_by_name_and_what_they_do(watched: Watched) -> None:
    job = watched.project.submit("diabetes", [[6, 148, 72, 35, 0, 33.6, 0.627, 50]] * 200)
    watched.project.wait_for(job)

    def shown() -> dict[str, Any]:
        workers = watched.get("flower", "/workers?json=1", watched.admin).raise_for_status().json()["data"]
        return {worker["hostname"]: worker for worker in workers if worker["status"]}

    def has_done_chunks() -> bool:
        # Flower asks the workers every 5 s to tell it.
        watched.project.submit("diabetes", [[6, 148, 72, 35, 0, 33.6, 0.627, 50]])
        return any(worker.get("task-succeeded") for worker in shown().values())

    wait_until(lambda: set(shown()) == watched.workers(), what="Flower shows the workers")
    wait_until(has_done_chunks, what="Flower shows what they have done")
    queues = watched.get("flower", "/api/queues/length", watched.admin).raise_for_status().json()

    assert {queue["name"] for queue in queues["active_queues"]} == {"celeriac.jobs", "celeriac.jobs.high"}


def test_flower_shows_its_pages_in_a_browser(watched: Watched, browser: Browser) -> None:
    name, password = watched.admin
    context = browser.new_context(http_credentials={"username": name, "password": password})
    page = context.new_page()
    page.goto(watched.url("flower"))

    for worker in watched.workers():
        page.get_by_role("row", name=worker.removeprefix("celery@")).get_by_text("Online").wait_for()

    context.close()


def test_flower_commands_nobody(watched: Watched) -> None:
    (worker, *_) = watched.workers()
    answer = httpx.post(f"{watched.url('flower')}/api/worker/shutdown/{worker}", auth=watched.admin)

    assert answer.status_code == 403


def test_prometheus_reaches_all_that_it_scrapes(watched: Watched) -> None:
    jobs = ["flower", "prometheus", "rabbitmq", "web"] + ["worker"] * len(watched.workers())

    def targets() -> list[tuple[str, str]]:
        active = watched.get("prometheus", "/api/v1/targets").json()["data"]["activeTargets"]
        return sorted((target["labels"]["job"], target["health"]) for target in active)

    wait_until(lambda: targets() == [(job, "up") for job in jobs], what="all is scraped")


def test_prometheus_reaches_a_web_that_has_a_certificate_of_its_own(
    watched: Watched, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tls")
    certificate_in(folder)

    def web() -> list[tuple[str, str]]:
        active = watched.get("prometheus", "/api/v1/targets").json()["data"]["activeTargets"]
        return [(each["scrapeUrl"], each["health"]) for each in active if each["labels"]["job"] == "web"]

    with certified(watched.project, folder):
        wait_until(lambda: web() == [("https://web:5100/metrics", "up")], what="web is scraped by https")
    watched.project.wait_until_ready()


def test_prometheus_knows_what_the_service_and_its_workers_have_done(watched: Watched) -> None:
    job = watched.project.submit("diabetes", [[6, 148, 72, 35, 0, 33.6, 0.627, 50]] * 7)
    watched.project.wait_for(job)

    wait_until(
        lambda: watched.query("sum(celeriac_chunk_items_total)").get("", 0) >= 7, what="the workers' items"
    )
    wait_until(
        lambda: list(watched.query("celeriac_workers").values()) == [len(watched.workers())],
        what="the workers",
    )


def test_prometheus_knows_queues_and_workers_by_name(watched: Watched) -> None:
    length = 'sum by (queue) (rabbitmq_queue_messages{queue=~"celeriac[.]jobs.*"})'
    takers = 'sum(rabbitmq_queue_consumers{queue="celeriac.jobs"})'
    online = "sum by (worker) (flower_worker_online)"
    workers = watched.workers()

    def becomes(expression: str, answer: dict[str, float]) -> None:
        wait_until(lambda: watched.query(expression) == answer, what=expression)

    becomes(length, {"celeriac.jobs": 0, "celeriac.jobs.high": 0})
    becomes(takers, {"": len(workers)})
    becomes(online, dict.fromkeys(workers, 1))


def test_every_alert_can_be_computed(watched: Watched) -> None:
    def rules() -> dict[str, str]:
        (group,) = watched.get("prometheus", "/api/v1/rules").json()["data"]["groups"]
        return {rule["name"]: rule["health"] for rule in group["rules"]}

    wait_until(lambda: set(rules().values()) == {"ok"}, what="every rule is evaluated")
    page = (watched.project.checkout.root / "docs" / "operations.md").read_text()

    assert [name for name in rules() if f"`{name}`" not in page] == []


def test_the_brokers_management_lets_admin_in_and_nobody_else(watched: Watched) -> None:
    path = "/api/overview"

    assert watched.get("management", path, watched.admin).json()["product_name"] == "RabbitMQ"
    assert watched.get("management", path).status_code == 401
    assert watched.get("management", path, GUEST).status_code == 401
    assert "RabbitMQ Management" in watched.get("management", "/").text


def test_watching_leaves_no_queue_in_the_broker(watched: Watched) -> None:
    lasting = {
        "celeriac.jobs",
        "celeriac.jobs.high",
        "celeriac.dead_letters",
    }
    project = watched.project
    (worker, *_) = project.containers("worker")
    wait_until(lambda: any(worker in name for name in watched.queues()), what="the worker's queue is known")
    wait_until(lambda: any("celeryev" in name for name in watched.queues()), what="Flower's queue is known")
    passing = [queue for name, queue in watched.queues().items() if name not in lasting]

    docker.docker("kill", worker, project.containers("flower")[0])
    wait_until(
        lambda: not any(worker in name or "celeryev" in name for name in watched.queues()),
        what="the queues of the dead are gone",
    )
    watched.up()

    assert all(queue["exclusive"] and queue["auto_delete"] for queue in passing)
