"""The service over RabbitMQ and PostgreSQL, with two workers, while things are killed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from production_server.broker.app import create_celery
from production_server.broker.messages import NORMAL_QUEUE, RUN_CHUNK
from production_server.settings import read_settings
from production_server.web.telemetry.metrics import TELL_EVERY_S
from testing.celeriac import Celeriac, celeriac
from testing.postgres import PostgresCluster, new_database
from testing.processes import free_ports, wait_until
from testing.rabbitmq import RabbitMQNode, new_vhost

ROWS = [[n, 1] for n in range(1200)]


@pytest.fixture(scope="module")
def own_vhost(rabbitmq: RabbitMQNode) -> Iterator[str]:
    with new_vhost(rabbitmq) as name:
        yield name


@pytest.fixture(scope="module")
def shared(
    rabbitmq: RabbitMQNode,
    own_vhost: str,
    postgres: PostgresCluster,
    model_store: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Celeriac]:
    """Boots once: that takes longer than most tests."""
    folder = tmp_path_factory.mktemp("service")
    settings = {
        "MODEL_STORE": model_store,
        "BROKER_URL": rabbitmq.url(own_vhost),
        "WORKERS": "2",
        "CHUNK_ITEMS": "32",
        "BATCH_ITEMS": "8",
        "WORKER_NAME": "lab",
        "HEARTBEAT_FILE": str(folder / "heartbeat"),
        "REMOTE_CONTROL": "on",
        "METRICS_PORT": str(free_ports(3)[0]),
    }
    with new_database(postgres) as url, celeriac(folder, DATABASE_URL=url, **settings) as running:
        yield running


@pytest.fixture
def service(shared: Celeriac, rabbitmq: RabbitMQNode, postgres: PostgresCluster) -> Iterator[Celeriac]:
    """The service that the tests share; whatever a test does to it and to its neighbours, it is whole afterwards."""
    wait_until(lambda: is_whole(shared), what="the service is whole")
    shared.forget_log()
    yield shared
    rabbitmq.start()
    postgres.start()
    wait_until(lambda: is_whole(shared), what="the service is whole again")


def is_whole(service: Celeriac) -> bool:
    workers = len(service.children("worker"))
    return workers == 2 and service.is_ready() and "2 alive: lab-1, lab-2" in service.web.get("/readyz").text


def assert_every_item_once(service: Celeriac, job: dict[str, object]) -> None:
    done = service.wait_for(job)
    results = service.results(job)
    assert (done["state"], done["succeeded"], done["failed"]) == ("finished", job["total"], 0)
    assert [item["index"] for item in results] == list(range(len(results)))
    assert {item["state"] for item in results} == {"succeeded"}


def test_a_prediction_travels_through_the_broker_and_back(service: Celeriac) -> None:
    job = service.wait_for(service.submit("table", [[0, 7], [9, 7], [10, 7]]))

    assert [item["label"] or item["error"]["code"] for item in service.results(job)] == [
        "no", "yes", "inference_failed",
    ]  # fmt: skip


def test_every_worker_is_alive_by_name(service: Celeriac) -> None:
    assert service.web.get("/readyz").json()["checks"]["workers"]["detail"] == "2 alive: lab-1, lab-2"


def test_each_worker_tells_its_metrics(service: Celeriac) -> None:
    def told() -> list[str]:
        port = int(service.settings["METRICS_PORT"])
        urls = [f"http://127.0.0.1:{port + number}/metrics" for number in (1, 2)]
        return [httpx.get(url).raise_for_status().text for url in urls]

    def done(texts: list[str]) -> float:
        return sum(float(n) for text in texts for n in re.findall(r"chunk_items_total{.*} (.*)", text))

    before = done(told())
    service.wait_for(service.submit("table", ROWS))
    texts = told()

    assert done(texts) - before == len(ROWS)
    assert all("process_resident_memory_bytes" in text for text in texts)


def test_web_processes_share_a_port_and_what_they_count(
    tmp_path: Path, model_store: str, broker_url: str, database_url: str
) -> None:
    settings = {"MODEL_STORE": model_store, "BROKER_URL": broker_url, "DATABASE_URL": database_url}
    body = {"instances": [[0, 1], [9, 1]]}
    with celeriac(tmp_path, WEB_PROCESSES="2", **settings) as running:
        first, second = running.children("web")

        def answers() -> int:
            # A connection of its own for each: either process may take it.
            url = f"{running.url}/v1/models/table:predict"
            return sum(httpx.post(url, json=body).status_code == 200 for _ in range(20))

        answered = answers()
        # What a process counts, it tells the others every second: the last one's is lost when it is killed.
        time.sleep(2 * TELL_EVERY_S)
        os.kill(first, signal.SIGKILL)
        wait_until(
            lambda: len(set(running.children("web")) - {first, second}) == 1, what="it is started again"
        )
        wait_until(running.is_ready, what="the service is ready again")
        answered += answers()
        time.sleep(2 * TELL_EVERY_S)
        text = running.web.get("/metrics").text

    assert answered == 40
    assert re.search(r'^celeriac_calls_total{code="200",model="table".*} 40.0$', text, re.MULTILINE), text


def test_web_processes_share_a_limit(
    broker_url: str, database_url: str, tmp_path: Path, model_store: str
) -> None:
    settings = {"BROKER_URL": broker_url, "DATABASE_URL": database_url, "MODEL_STORE": model_store}
    limit = {"PROXIES": "127.0.0.1", "LIMIT_REQUESTS": "100"}

    with celeriac(tmp_path, WEB_PROCESSES="2", **limit, **settings) as running:

        def ask() -> int:
            """The status that a request from outside gets over a connection of its own: from either process."""
            return httpx.get(
                f"{running.url}/api/models", headers={"X-Forwarded-For": "192.0.2.7"}
            ).status_code

        let_in = refused = 0
        began = time.monotonic()
        while refused < 30 and time.monotonic() < began + 120:
            is_refused = ask() == 429
            refused += is_refused
            let_in += not is_refused
            # The rate of this client: what it asks for within a second, the processes may let in beyond the limit.
            time.sleep(0.03)
        again_s = (time.monotonic() - began) * 100 / 60

    assert refused == 30
    assert 100 <= let_in < 150 + again_s, (
        "it would be 200 before any is refused, if neither knew of the other"
    )


def test_heartbeats_stop_while_the_broker_is_down(service: Celeriac, rabbitmq: RabbitMQNode) -> None:
    file = Path(service.settings["HEARTBEAT_FILE"])
    wait_until(file.exists, what="the first heartbeat")
    rabbitmq.kill()
    file.unlink()

    wait_until(lambda: "the broker does not answer" in service.log, what="the workers notice")
    was_there = file.exists()
    rabbitmq.start()
    wait_until(file.exists, what="heartbeats go on")

    assert not was_there


def test_whoever_may_use_the_broker_can_ask_the_workers_where_remote_control_is_on(
    service: Celeriac,
) -> None:
    app = create_celery(read_settings(service.settings))

    # A connection of its own: a pooled one may be of a test that stopped the broker.
    with app.connection_for_write() as connection:
        wait_until(
            lambda: (
                {
                    name
                    for answer in app.control.ping(timeout=2, connection=connection) or ()
                    for name in answer
                }
                == {"celery@lab-1", "celery@lab-2"}
            ),
            what="both workers answer",
        )


def test_whoever_may_use_the_broker_can_watch_the_workers_where_remote_control_is_on(
    service: Celeriac,
) -> None:
    app = create_celery(read_settings(service.settings))
    seen: set[tuple[str, str]] = set()

    with app.connection() as connection:
        receiver = app.events.Receiver(
            connection, handlers={"*": lambda event: seen.add((event["type"], event["hostname"]))}
        )

        def has_seen(*kinds: str) -> bool:
            with suppress(TimeoutError):
                receiver.capture(limit=20, timeout=1)
            return {(kind, f"celery@lab-{number}") for kind in kinds for number in (1, 2)} <= seen

        wait_until(lambda: has_seen("worker-heartbeat"), what="both workers' heartbeats")
        app.control.enable_events(connection=connection)
        job = service.submit("slow", ROWS)
        wait_until(lambda: has_seen("task-started", "task-succeeded"), what="both workers' tasks")
    service.web.delete(job["links"]["self"])


def test_killing_a_worker_loses_nothing(service: Celeriac) -> None:
    job = service.submit("slow", ROWS)
    service.wait_for(job, done=100)

    os.kill(service.children("worker")[0], signal.SIGKILL)

    assert_every_item_once(service, job)
    assert "starting it again" in service.log


def test_killing_the_web_process_loses_nothing(service: Celeriac) -> None:
    job = service.submit("slow", ROWS)

    os.kill(service.children("web")[0], signal.SIGKILL)
    service.wait_until_ready()

    assert_every_item_once(service, job)


def test_killing_everything_loses_nothing(service: Celeriac) -> None:
    job = service.submit("slow", ROWS)
    service.wait_for(job, done=50)

    service.kill()
    service.start()

    assert_every_item_once(service, job)


def test_a_broker_that_forgets_everything_loses_nothing(
    service: Celeriac, rabbitmq: RabbitMQNode, own_vhost: str
) -> None:
    job = service.submit("slow", ROWS)
    service.wait_for(job, done=50)

    rabbitmq.wipe(own_vhost)

    assert_every_item_once(service, job)


def test_a_broker_that_is_killed_loses_nothing(service: Celeriac, rabbitmq: RabbitMQNode) -> None:
    job = service.submit("slow", ROWS)
    service.wait_for(job, done=50)

    rabbitmq.settle()
    rabbitmq.kill()
    rabbitmq.start()

    assert_every_item_once(service, job)


def test_a_job_is_accepted_while_the_broker_is_down_and_runs_when_it_is_back(
    service: Celeriac, rabbitmq: RabbitMQNode
) -> None:
    rabbitmq.stop()

    job = service.submit("table", [[1, 7]])
    not_ready = service.web.get("/readyz")
    rabbitmq.start()

    assert (not_ready.status_code, not_ready.json()["checks"]["broker"]["ok"]) == (503, False)
    assert_every_item_once(service, job)


def test_a_job_is_accepted_while_the_broker_is_out_of_memory_and_runs_when_it_has_some(
    service: Celeriac, rabbitmq: RabbitMQNode
) -> None:
    limit = rabbitmq.evaluate("vm_memory_monitor:get_vm_memory_high_watermark()")
    rabbitmq.evaluate("vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1000000})")
    try:
        job = service.submit("table", [[1, 7]] * 40)
    finally:
        rabbitmq.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({limit})")

    assert_every_item_once(service, job)


def test_a_database_that_is_killed_loses_nothing(service: Celeriac, postgres: PostgresCluster) -> None:
    job = service.submit("slow", ROWS)
    service.wait_for(job, done=50)

    postgres.kill()
    answer = service.web.get("/api/jobs")
    postgres.start()

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert_every_item_once(service, job)


def test_a_message_that_makes_no_sense_is_dropped_and_the_worker_goes_on(
    service: Celeriac,
) -> None:
    app = create_celery(read_settings(service.settings))
    with app.connection_for_write() as connection, connection.Producer() as producer:
        for body in ({}, {"job_id": "x", "start": 0, "stop": 1}, {"job_id": 5, "start": "0", "stop": None}):
            app.send_task(RUN_CHUNK, kwargs=body, queue=NORMAL_QUEUE, producer=producer)
        app.send_task("os.system", args=["false"], queue=NORMAL_QUEUE, producer=producer)
        producer.publish(
            b"\x80\x04.", content_type="application/x-python-serialize", routing_key=NORMAL_QUEUE
        )

    job = service.submit("table", [[1, 7]] * 40)

    assert_every_item_once(service, job)


def test_small_jobs_overtake_a_bulk_job(service: Celeriac) -> None:
    bulk = service.submit("slow", ROWS)
    service.wait_for(bulk, done=50)

    service.wait_for(service.submit("table", [[1, 7]]))

    assert service.job(bulk)["state"] == "running"
    service.web.delete(bulk["links"]["self"])


def test_a_cancelled_job_stops(service: Celeriac) -> None:
    job = service.submit("slow", ROWS)
    service.wait_for(job, done=50)

    cancelled = service.web.delete(job["links"]["self"]).json()
    over = service.wait_for(job)

    assert cancelled["state"] == over["state"] == "cancelled"
    assert over["cancelled"] > 0
    assert over["succeeded"] + over["cancelled"] == len(ROWS)


def test_a_stop_drains_and_leaves_no_process(service: Celeriac) -> None:
    job = service.submit("slow", ROWS)
    service.wait_for(job, done=50)
    children = service.children()

    code = service.stop()

    assert code == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    service.start()
    assert_every_item_once(service, job)
