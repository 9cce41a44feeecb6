"""Interactive calls while processes die and stop, as clients see it."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from testing.callers import call_in_a_row, calling
from testing.celeriac import ROOT, Celeriac, celeriac
from testing.processes import end, free_ports, spawn, wait_until
from testing.rabbitmq import RabbitMQNode
from testing.small_models import write_table_model

VHOST = "under-fire"
WATCHED = ROOT / "testing" / "watched"
DEADLY = 666
MAX_WAITING = 32
PREDICT = "/v1/models/table:predict"
CALLS = int(os.environ.get("CALLS", "10000"))
GIVEN_UP = 'celeriac_call_batches_broken_total{then="given_up"}'
DEADLINE_S = 8
LONGEST_S = DEADLINE_S + 4
"""Nobody waits longer, whatever breaks; the difference is what a busy machine may take to say so."""


@pytest.fixture(scope="module")
def service(rabbitmq: RabbitMQNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    folder = tmp_path_factory.mktemp("fire")
    write_table_model(folder / "store")
    rabbitmq.start().add_vhost(VHOST)
    settings = {
        "BROKER_URL": rabbitmq.url(VHOST),
        "WORKERS": "2",
        "MODEL_STORE": str(folder / "store"),
        "MAX_WAITING_ITEMS": str(MAX_WAITING),
        "CALL_TIMEOUT_S": str(DEADLINE_S),
        "PYTHONPATH": f"{WATCHED}:{ROOT}",
        "RUNS_FILE": str(folder / "runs"),
    }
    with celeriac(folder, **settings) as running:
        yield running
    rabbitmq.start().delete_vhost(VHOST)


@pytest.fixture(autouse=True)
def whole(service: Celeriac, rabbitmq: RabbitMQNode) -> Iterator[None]:
    """Before and after each test two workers take calls and answer, and nothing is on its way."""
    wait_until(lambda: is_whole(service), what="the service is whole", timeout_s=30)
    yield
    rabbitmq.start()
    wait_until(lambda: is_whole(service), what="the service is whole again", timeout_s=30)
    assert waiting(service) == on_their_way(service) == 0


def is_whole(service: Celeriac) -> bool:
    return (
        len(service.children("worker")) == 2
        and answers(service)
        and on_their_way(service) == 0
        # A worker that has only just begun may be there, and take no calls yet.
        and reached(service) == 2
    )


def answers(service: Celeriac) -> bool:
    return ask(service, 1).status_code == 200


def ask(service: Celeriac, weight: float, *, within_ms: int = 10_000) -> httpx.Response:
    headers = {"X-Request-Timeout-Ms": str(within_ms)}
    return service.web.post(PREDICT, json={"instances": [[3, weight]]}, headers=headers)


def metric(service: Celeriac, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", service.web.get("/metrics").text, re.MULTILINE)
    assert found, name
    return float(found[1])


def reached(service: Celeriac) -> float:
    """Workers that the web process can ask."""
    return metric(service, "celeriac_call_workers")


def waiting(service: Celeriac) -> float:
    return metric(service, "celeriac_calls_waiting_items")


def on_their_way(service: Celeriac) -> float:
    return metric(service, "celeriac_call_batches")


def runs(service: Celeriac, weight: float) -> int:
    """How often a worker has run a row that ends so."""
    return (service.directory / "runs").read_text().splitlines().count(f"{weight:g}")


def signal_workers(service: Celeriac, number: signal.Signals) -> list[int]:
    workers = service.children("worker")
    for pid in workers:
        os.kill(pid, number)
    if number == signal.SIGSTOP:
        # Each thread stops when it is next looked at, which on a busy machine is later.
        wait_until(lambda: all(map(is_stopped, workers)), what="the workers have stopped")
    return workers


def is_stopped(pid: int) -> bool:
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in threads)


def kill_workers(service: Celeriac, count: int) -> None:
    """Kill so many workers, and wait until others are there instead."""
    killed = service.children("worker")[:count]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)

    def are_replaced() -> bool:
        workers = service.children("worker")
        return len(workers) == 2 and not set(workers) & set(killed)

    wait_until(are_replaced, what="there are two workers again")


def test_calls_of_a_worker_that_is_killed_are_answered_by_the_other(service: Celeriac) -> None:
    with calling(service.url) as calls:
        for turn in range(1, 4):
            wait_until(lambda: reached(service) == 2, what="both workers take calls")
            wait_until(lambda turn=turn: calls.codes[200] > 50 * turn, what="calls are answered")  # type: ignore[misc]
            kill_workers(service, 1)

    assert not calls.refused and not calls.is_wrong, calls.codes


def test_calls_wait_for_a_worker_if_all_are_killed(service: Celeriac) -> None:
    with calling(service.url) as calls:
        kill_workers(service, 2)
        before = calls.codes[200]
        wait_until(lambda: calls.codes[200] > before, what="calls are answered")

    assert calls.refused <= {503, 504} and not calls.is_wrong
    assert calls.longest_s < LONGEST_S


def test_a_call_that_workers_die_of_is_not_tried_a_third_time(service: Celeriac) -> None:
    died_before, given_up_before = service.log.count("ended with -9"), metric(service, GIVEN_UP)

    answer = ask(service, DEADLY, within_ms=8000)

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), answer.text
    wait_until(lambda: is_whole(service), what="the service is whole again")
    assert runs(service, DEADLY) == 2, service.log[-6000:]
    assert service.log.count("ended with -9") == died_before + 2
    assert metric(service, GIVEN_UP) == given_up_before + 1


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_calls_do_not_notice_that_the_broker_is_gone(
    service: Celeriac, rabbitmq: RabbitMQNode, how: str
) -> None:
    with calling(service.url) as calls:
        wait_until(lambda: calls.codes[200] > 50, what="calls are answered")
        rabbitmq.stop() if how == "stopped" else rabbitmq.kill()
        wait_until(lambda: not service.is_ready(), what="the service knows that it is gone")
        before = calls.codes[200]
        wait_until(lambda: calls.codes[200] > before + 50, what="calls are answered")

    assert not calls.refused and not calls.is_wrong, calls.codes


def test_two_web_processes_get_their_own_answers(service: Celeriac, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    process = spawn(
        [sys.executable, "-m", "production_server", "web"],
        directory=service.directory,
        env=service._env() | {"PORT": str(port)},
        log="second.log",
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: is_answering(url), what="the second web process answers")
        with calling(service.url) as first, calling(url) as second:
            wait_until(lambda: min(first.codes[200], second.codes[200]) > 300, what="both are asked")
    finally:
        end(process)

    for calls in (first, second):
        assert not calls.refused and not calls.is_wrong


def is_answering(url: str) -> bool:
    try:
        return httpx.post(url + PREDICT, json={"instances": [[1, 1]]}).status_code == 200
    except httpx.TransportError:
        return False


def test_calls_whose_time_is_over_are_dropped_wherever_they_are(service: Celeriac) -> None:
    headers = {"X-Request-Timeout-Ms": "3000"}

    def ask_either(n: int) -> int:
        # At least three batches of each model go out; the workers have some, and the others are here.
        model, row = [("table", [3, 7000 + n]), ("diabetes", [1] * 7 + [7000 + n])][n % 2]
        url = f"/v1/models/{model}:predict"
        return service.web.post(url, json={"instances": [row]}, headers=headers).status_code

    signal_workers(service, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(ask_either, n) for n in range(20)]
            wait_until(lambda: on_their_way(service) >= 6, what="six batches are on their way")
            codes = {each.result() for each in asked}
        wait_until(lambda: on_their_way(service) == 0, what="all are given up")
    finally:
        signal_workers(service, signal.SIGCONT)

    assert codes == {504}
    wait_until(lambda: is_whole(service), what="the workers have seen what they were sent")
    assert sum(runs(service, 7000 + n) for n in range(20)) == 0


def one_by_one(
    service: Celeriac, pool: ThreadPoolExecutor, weight: float, *, count: int
) -> list[Future[httpx.Response]]:
    """Ask so often, each time after the last call was seen: those that come at once would travel together."""
    asked = []
    for number in range(1, count + 1):
        asked.append(pool.submit(ask, service, weight))
        wait_until(
            lambda number=number: on_their_way(service) + waiting(service) == number,  # type: ignore[misc]
            what=f"{number} calls are there",
        )
    return asked


def test_more_calls_than_may_wait_are_refused_at_once_and_told_when_to_come_back(service: Celeriac) -> None:
    signal_workers(service, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(3 * MAX_WAITING) as pool:
            asked = one_by_one(service, pool, 1, count=3 * 2)
            asked += [pool.submit(ask, service, 1) for _ in range(2 * MAX_WAITING)]
            wait_until(lambda: any(each.done() for each in asked), what="some are refused")
            wait_until(lambda: waiting(service) == MAX_WAITING, what="as many wait as may")
            signal_workers(service, signal.SIGCONT)
            answers = [each.result() for each in asked]
    finally:
        signal_workers(service, signal.SIGCONT)

    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(answers) - len(refused) >= MAX_WAITING
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) > 0


def test_clients_that_leave_cost_the_workers_nothing(service: Celeriac) -> None:
    signal_workers(service, signal.SIGSTOP)
    try:
        # Three batches are on their way for each worker; the others wait for those.
        with ThreadPoolExecutor(20) as pool:
            first = one_by_one(service, pool, 8000, count=20)
            in_front = waiting(service)
            others = [begin(service, 8001 + n) for n in range(10)]
            wait_until(lambda: waiting(service) == in_front + 10, what="the others wait")
            for each in others:
                each.close()
            wait_until(
                lambda: have_left(service) == 10, what="it was noticed that they have left", timeout_s=5
            )
            signal_workers(service, signal.SIGCONT)
            assert {each.result().status_code for each in first} == {200}
    finally:
        signal_workers(service, signal.SIGCONT)

    wait_until(lambda: waiting(service) == 0, what="nothing waits")
    assert sum(runs(service, 8001 + n) for n in range(10)) == 0


def begin(service: Celeriac, weight: float) -> socket.socket:
    """Ask, and do not wait for the answer."""
    body = b'{"instances": [[3, %d]]}' % weight
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=30)
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def have_left(service: Celeriac) -> float:
    found = re.findall(
        r'^celeriac_calls_total{code="499",.*} (\S+)$', service.web.get("/metrics").text, re.MULTILINE
    )
    return sum(map(float, found))


def test_nothing_is_left_of_many_calls(service: Celeriac) -> None:
    body = b'{"instances": [[3, 1]]}'
    assert call_in_a_row(service.port, PREDICT, body, count=2000) == {b"200": 2000}
    processes = service.children("worker") + service.children("web")
    threads, kibibytes = threads_of(processes), memory_of(processes)

    assert call_in_a_row(service.port, PREDICT, body, count=CALLS) == {b"200": CALLS}

    assert waiting(service) == on_their_way(service) == 0
    assert threads_of(processes) == threads
    # What allocators keep differs by some megabytes, however many calls there were.
    assert memory_of(processes) - kibibytes < 16 * 1024


def threads_of(processes: list[int]) -> list[int]:
    return [len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in processes]


def memory_of(processes: list[int]) -> int:
    """Resident memory of all of them, in KiB."""
    found = [re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()) for pid in processes]
    return sum(int(each[1]) for each in found if each)
