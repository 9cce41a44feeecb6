"""Interactive calls over RabbitMQ, and within one process: both keep the same promises."""

from __future__ import annotations

import contextlib
import io
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from celery import Celery
from kombu import Connection, Consumer, Queue
from PIL import Image

from production_server.broker.amqp_connection import body_of, call_queue, post
from production_server.broker.amqp_link import AmqpLink
from production_server.broker.app import create_celery
from production_server.broker.caller import Caller
from production_server.broker.calls import CALL_QUEUE, Inputs, Reply, Request, decode_reply, encode_request
from production_server.broker.grouping import Answer, Call
from production_server.broker.links import LocalLink
from production_server.errors import (
    CeleriacError,
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    NotFound,
    Unavailable,
)
from production_server.inference import Engine
from production_server.models.registry import Registry
from production_server.models.tensors import Tensors, only
from production_server.settings import read_settings
from production_server.worker.call_server import CallServer
from production_server.worker.calls import CallProcessor
from production_server.worker.throttle import Throttle
from testing.processes import wait_until
from testing.rabbitmq import RabbitMQNode
from testing.small_models import write_image_model, write_table_model

FOREVER_S = 60


def call_processor(engine: Engine, name: str) -> CallProcessor:
    return CallProcessor(engine, read_settings({}), name=name, throttle=Throttle())


@dataclass
class Place:
    """A caller, and workers that can be started: over a broker several, which can be stopped, too; else one."""

    engine: Engine
    caller: Caller
    app: Celery
    local: LocalWorker | None = None
    servers: list[CallServer] = field(default_factory=list)

    def start_worker(self) -> None:
        if self.local is not None:
            self.local.started.set()
            return
        server = CallServer(self.app, call_processor(self.engine, f"worker-{len(self.servers)}"))
        server.start()
        self.servers.append(server)

    def call(
        self, inputs: Inputs, *, model: str = "table", version: str = "1", within_s: float = FOREVER_S
    ) -> Waiting:
        waiting = Waiting()
        self.caller.submit(Call(model, version, inputs, time.monotonic() + within_s, waiting.put))
        return waiting


class Waiting(queue.SimpleQueue[Answer]):
    def answer(self) -> Answer:
        return self.get(timeout=FOREVER_S)

    def reply(self) -> Reply:
        answer = self.answer()
        assert isinstance(answer, Reply), answer
        return answer


@pytest.fixture(scope="module")
def small_registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("models")
    write_table_model(folder)
    write_image_model(folder)
    return Registry([folder])


class LocalWorker:
    """A worker in this process that answers nothing before it is started."""

    def __init__(self, engine: Engine) -> None:
        self.started = threading.Event()
        self._processor = call_processor(engine, "worker-0")

    def answer(self, body: bytes) -> bytes:
        self.started.wait()
        return self._processor.answer(body)


@pytest.fixture(params=["local", "rabbitmq"])
def place(request: pytest.FixtureRequest, small_registry: Registry) -> Iterator[Place]:
    url = request.getfixturevalue("broker_url") if request.param == "rabbitmq" else ""
    with placed(url, small_registry) as made:
        yield made


@pytest.fixture
def over_broker(broker_url: str, small_registry: Registry) -> Iterator[Place]:
    with placed(broker_url, small_registry) as made:
        yield made


@contextlib.contextmanager
def placed(broker_url: str, registry: Registry) -> Iterator[Place]:
    """With a broker, or, where it has no address, in this process."""
    app, engine = create_celery(read_settings({"BROKER_URL": broker_url})), Engine(registry, threads=1)
    local = None if broker_url else LocalWorker(engine)
    link = AmqpLink(app) if local is None else LocalLink()
    if isinstance(link, LocalLink) and local is not None:
        link.serve(local.answer)
    caller = Caller(link, max_batches=2, max_items=64, max_waiting=1000)
    caller.start()
    wait_until(lambda: caller.is_connected, what="the caller is connected")
    made = Place(engine, caller, app, local)
    try:
        yield made
    finally:
        for server in made.servers:
            server.stop()
        caller.close()


def rows(*values: float) -> Tensors:
    return {"features": np.array([[value, 1] for value in values], dtype=np.float32)}


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 4), value).save(buffer, "PNG")
    return buffer.getvalue()


def shares(reply: Reply) -> list[float]:
    """What the table model says for each row: 0.05 × its first number."""
    assert reply.outputs is not None and not reply.errors, reply
    return [round(row[1], 3) for row in only(reply.outputs).tolist()]


def test_a_call_is_answered_with_its_outputs(place: Place) -> None:
    place.start_worker()

    reply = place.call(rows(0, 9)).reply()

    assert shares(reply) == [0, 0.45]
    assert reply.worker == "worker-0" and reply.run_ms > 0


def test_each_of_many_calls_at_once_gets_its_own_answer(place: Place) -> None:
    place.start_worker()

    waiting = [place.call(rows(*[n % 9] * (1 + n % 3))) for n in range(400)]

    for n, each in enumerate(waiting):
        assert shares(each.reply()) == [round(0.05 * (n % 9), 3)] * (1 + n % 3)
    assert place.caller.waiting_items == place.caller.batches_on_their_way == 0


def test_a_row_on_which_the_model_fails_does_not_harm_the_calls_beside_it(place: Place) -> None:
    waiting = [place.call(rows(value)) for value in (1, 2, 10, 3, -99, 4)]
    place.start_worker()

    replies = [each.reply() for each in waiting]

    assert [type(reply.errors.get(0)) for reply in replies] == [
        type(None), type(None), InferenceFailed, type(None), InferenceFailed, type(None),
    ]  # fmt: skip


def test_image_files_are_decoded_by_the_worker_and_a_bad_one_has_its_error(place: Place) -> None:
    place.start_worker()

    reply = place.call([png(0), b"no image", png(255)], model="picture").reply()

    error = reply.errors[1]
    assert set(reply.errors) == {1} and isinstance(error, InvalidInput) and error.code == "not_an_image"


def test_an_unknown_version_is_the_workers_own_error(place: Place) -> None:
    place.start_worker()

    error = place.call(rows(1), version="77").answer()

    assert isinstance(error, NotFound) and error.code == "version_not_found"


def test_what_nobody_answers_in_time_is_given_up_and_what_comes_later_is_answered(over_broker: Place) -> None:
    late = over_broker.call(rows(1), within_s=0.3).answer()
    over_broker.start_worker()

    assert isinstance(late, DeadlineExceeded)
    assert shares(over_broker.call(rows(1)).reply()) == [0.05]


def test_what_a_worker_fetched_and_comes_to_too_late_is_not_run(over_broker: Place) -> None:
    asked: list[Reply] = []
    with over_broker.app.connection_for_write() as connection, connection.channel() as channel:
        answers = Queue("late.answers", exclusive=True)
        answers(channel).declare()
        call_queue(CALL_QUEUE)(channel).declare()
        until = time.time() - 0.5
        body = encode_request(Request("table", "1", rows(1), {}, until))
        post(channel, body, CALL_QUEUE, reply_to=answers.name, correlation_id="late")

        over_broker.start_worker()
        with Consumer(channel, [answers], on_message=lambda each: asked.append(decode_reply(body_of(each)))):
            wait_until(lambda: drained_once(connection) or bool(asked), what="there is an answer")

    assert isinstance(asked[0].error, DeadlineExceeded) and "clocks differ" in str(asked[0].error)


def drained_once(connection: Connection) -> bool:
    with contextlib.suppress(TimeoutError):
        connection.drain_events(timeout=0.1)
    return False


@pytest.mark.parametrize("which", ["timeout", "pid"])
def test_connections_that_the_broker_closes_are_opened_anew(
    rabbitmq: RabbitMQNode, vhost: str, broker_url: str, small_registry: Registry, which: str
) -> None:
    # The connection that only sends has no heartbeats; nobody reads from it, so nobody is told that it is closed.
    is_meant = {"timeout": "proplists:get_value(timeout, C) == 0", "pid": "true"}[which]
    close = (
        'begin _ = [rabbit_networking:close_connection(proplists:get_value(pid, C), "a test")'
        " || C <- rabbit_networking:connection_info_all([pid, vhost, timeout]),"
        f' proplists:get_value(vhost, C) == <<"{vhost}">>, {is_meant}], {{ok, closed}} end'
    )
    with placed(broker_url, small_registry) as place:
        place.start_worker()
        place.call(rows(1)).reply()

        for _ in range(3):
            rabbitmq.evaluate(close)
            wait_until(lambda: is_answered(place), what="calls are answered", timeout_s=5)

        assert place.caller.waiting_items == place.caller.batches_on_their_way == 0


def is_answered(place: Place) -> bool:
    try:
        return isinstance(place.call(rows(1), within_s=2).answer(), Reply)
    except Unavailable:
        return False


def test_a_message_that_the_broker_refuses_costs_no_other_call(
    rabbitmq: RabbitMQNode, broker_url: str, small_registry: Registry
) -> None:
    rabbitmq.evaluate("{ok, application:set_env(rabbit, max_message_size, 100000)}")
    try:
        with placed(broker_url, small_registry) as place:
            place.start_worker()
            place.call(rows(1)).reply()

            error = place.call([bytes(200_000)], within_s=1).answer()

            assert isinstance(error, CeleriacError)
            assert shares(place.call(rows(1), within_s=5).reply()) == [0.05]
    finally:
        rabbitmq.evaluate("{ok, application:set_env(rabbit, max_message_size, 134217728)}")


def test_a_batch_that_cannot_be_sent_is_answered_and_the_next_one_is_sent(place: Place) -> None:
    place.start_worker()

    error = place.call({"features": np.array([["\ud800", ""]], dtype=object)}).answer()

    assert isinstance(error, CeleriacError) and error.code == "internal_error"
    assert shares(place.call(rows(1)).reply()) == [0.05]


def test_a_call_whose_client_has_left_is_not_sent(place: Place) -> None:
    first, second = place.call(rows(1)), place.call(rows(2))
    left, waiting = Waiting(), Waiting()
    gone = Call("table", "1", rows(10), time.monotonic() + FOREVER_S, left.put)
    place.caller.submit(gone)
    place.caller.submit(Call("table", "1", rows(3), time.monotonic() + FOREVER_S, waiting.put))
    gone.is_over = True

    place.start_worker()

    assert all(not each.reply().errors for each in (first, second, waiting))
    assert left.empty()


def test_what_a_stopped_worker_had_fetched_is_answered_by_another(over_broker: Place) -> None:
    over_broker.start_worker()
    (busy,) = over_broker.servers
    waiting = [over_broker.call(rows(n % 9)) for n in range(200)]
    over_broker.start_worker()
    busy.stop()

    assert all(each.reply().outputs is not None for each in waiting)


def test_callers_in_many_threads_do_not_mix_up_answers(place: Place) -> None:
    place.start_worker()
    wrong: list[int] = []

    def call_often(n: int) -> None:
        wrong.extend(n for _ in range(60) if shares(place.call(rows(n)).reply()) != [round(0.05 * n, 3)])

    threads = [threading.Thread(target=call_often, args=(n,)) for n in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong


def test_a_message_that_makes_no_sense_is_answered_by_an_error(over_broker: Place) -> None:
    over_broker.start_worker()
    with over_broker.app.connection_for_write() as connection, connection.channel() as channel:
        producer = connection.Producer(channel)
        for body in (b"", b"\xff" * 40, b"\x00\x00\x00\x02{}"):
            producer.publish(
                body,
                routing_key="celeriac.calls",
                content_type="application/octet-stream",
                content_encoding="binary",
            )

    assert shares(over_broker.call(rows(1)).reply()) == [0.05]


def test_a_broker_that_restarts_fails_what_is_on_its_way_and_takes_what_comes_later(
    rabbitmq: RabbitMQNode, over_broker: Place
) -> None:
    lost = over_broker.call(rows(1))

    rabbitmq.kill()
    error = lost.answer()
    rabbitmq.start()
    over_broker.start_worker()
    wait_until(lambda: over_broker.caller.is_connected, what="the caller is connected again")

    assert isinstance(error, CeleriacError)
    wait_until(
        lambda: isinstance(over_broker.call(rows(1), within_s=5).answer(), Reply), what="calls are answered"
    )


def test_connections_outlive_both_endless_calls_and_none(
    broker_url: str, small_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # RabbitMQ closes a connection on which it has heard nothing for two heartbeats, however much it sends there.
    monkeypatch.setattr("production_server.broker.amqp_connection.HEARTBEAT_S", 1)
    with placed(broker_url, small_registry) as place:
        place.start_worker()
        enough = time.monotonic() + 4
        while time.monotonic() < enough:
            place.call(rows(1)).reply()
        time.sleep(4)
        place.call(rows(1)).reply()
