"""Interactive calls to workers over sockets, and within one process: both keep the same promises."""

from __future__ import annotations

import contextlib
import io
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from production_server.broker import worker_link
from production_server.broker.caller import Caller
from production_server.broker.calls import Inputs, Reply, Request, decode_reply, encode_request
from production_server.broker.grouping import Answer, Call
from production_server.broker.links import Body, LocalLink
from production_server.broker.worker_link import WorkerLink
from production_server.errors import (
    CeleriacError,
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    NotFound,
    Unavailable,
)
from production_server.inference import Engine, Outputs
from production_server.jobs.records import WorkerInfo
from production_server.models.registry import Registry
from production_server.models.tensors import Tensors, only
from production_server.settings import Settings, read_settings
from production_server.worker import quick_versions
from production_server.worker.call_server import CallServer
from production_server.worker.calls import CallProcessor
from production_server.worker.throttle import Throttle
from testing.event_loop import LoopThread
from testing.processes import wait_until
from testing.small_models import write_image_model, write_table_model

FOREVER_S = 60


def call_processor(engine: Engine, name: str) -> CallProcessor:
    return CallProcessor(engine, read_settings({}), name=name, throttle=Throttle())


@dataclass
class Place:
    """A caller, and workers that can be started: over sockets several, which can be stopped, too; else one."""

    engine: Engine
    loop: LoopThread
    link: WorkerLink | LocalLink
    caller: Caller
    settings: Settings
    local: LocalWorker
    servers: list[CallServer] = field(default_factory=list)

    def start_worker(self) -> None:
        if isinstance(self.link, LocalLink):
            self.local.started.set()
            return
        server = CallServer(self.settings, call_processor(self.engine, f"worker-{len(self.servers)}"))
        server.start()
        self.servers.append(server)
        self.find_workers()
        wait_until(lambda: self.link.workers == len(self.servers), what="the caller is connected")

    def find_workers(self) -> None:
        """Tell the caller of all that there are, as heartbeats do."""
        self.link.know(
            [
                WorkerInfo(
                    name=f"worker-{n}",
                    started_at=0,
                    seen_at=0,
                    warm=(),
                    items_done=0,
                    failing={},
                    calls=each.told,
                )
                for n, each in enumerate(self.servers)
            ]
        )

    def call(
        self, inputs: Inputs, *, model: str = "table", version: str = "1", within_s: float = FOREVER_S
    ) -> Waiting:
        waiting = Waiting()
        self.submit(Call(model, version, inputs, time.monotonic() + within_s, waiting.put))
        return waiting

    def submit(self, call: Call) -> None:
        self.loop.run(self.caller.submit, call)


class Waiting(queue.SimpleQueue[Answer]):
    def answer(self) -> Answer:
        return self.get(timeout=FOREVER_S)

    def reply(self) -> Reply:
        answer = self.answer()
        assert isinstance(answer, Reply), answer
        return answer


@pytest.fixture(scope="module")
def small_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("models")
    write_table_model(folder)
    write_image_model(folder)
    registry = Registry([folder])
    registry.start()
    wait_until(lambda: registry.at_hand("table", "1") is not None, what="it is known what there is")
    yield registry
    registry.close()


class LocalWorker:
    """A worker in this process that answers nothing before it is started."""

    def __init__(self, engine: Engine) -> None:
        self.started = threading.Event()
        self._processor = call_processor(engine, "worker-0")

    def answer(self, body: Body) -> bytes:
        self.started.wait()
        return self._processor.answer(body)

    def answer_if_quick(self, body: Body) -> bytes | None:
        return self._processor.answer_if_quick(body) if self.started.is_set() else None


@pytest.fixture(params=["local", "sockets"])
def place(request: pytest.FixtureRequest, small_registry: Registry, tmp_path: Path) -> Iterator[Place]:
    with placed(small_registry, tmp_path, is_local=request.param == "local") as made:
        yield made


@pytest.fixture
def over_sockets(small_registry: Registry, tmp_path: Path) -> Iterator[Place]:
    with placed(small_registry, tmp_path) as made:
        yield made


@contextlib.contextmanager
def placed(registry: Registry, folder: Path, *, is_local: bool = False) -> Iterator[Place]:
    """With workers as they are in processes of their own, or with one in this process."""
    settings, engine, loop = (
        read_settings({"STATE_DIR": str(folder)}),
        Engine(registry, threads=1),
        LoopThread(),
    )
    link = LocalLink() if is_local else WorkerLink(settings)
    local = LocalWorker(engine)
    if isinstance(link, LocalLink):
        link.serve(local)
    caller = Caller(link, max_batches=2, max_items=64, max_waiting=1000)
    loop.run(caller.start)
    made = Place(engine, loop, link, caller, settings, local)
    try:
        yield made
    finally:
        local.started.set()
        loop.run(caller.close)
        for server in made.servers:
            server.stop(within_s=5)
        loop.stop()


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


def test_what_nobody_answers_in_time_is_given_up_and_what_comes_later_is_answered(
    over_sockets: Place,
) -> None:
    late = over_sockets.call(rows(1), within_s=0.3).answer()
    over_sockets.start_worker()

    assert isinstance(late, DeadlineExceeded)
    assert shares(over_sockets.call(rows(1)).reply()) == [0.05]


def test_a_batch_that_cannot_be_sent_is_answered_and_the_next_one_is_sent(place: Place) -> None:
    place.start_worker()

    error = place.call({"features": np.array([["\ud800", ""]], dtype=object)}).answer()

    assert isinstance(error, CeleriacError) and error.code == "internal_error"
    assert shares(place.call(rows(1)).reply()) == [0.05]


def test_a_call_whose_client_has_left_is_not_sent(place: Place) -> None:
    first, second = place.call(rows(1)), place.call(rows(2))
    left, waiting = Waiting(), Waiting()
    gone = Call("table", "1", rows(10), time.monotonic() + FOREVER_S, left.put)
    place.submit(gone)
    place.submit(Call("table", "1", rows(3), time.monotonic() + FOREVER_S, waiting.put))
    gone.is_over = True

    place.start_worker()

    assert all(not each.reply().errors for each in (first, second, waiting))
    assert left.empty()


def test_a_worker_that_stops_answers_what_it_has_and_another_one_the_rest(over_sockets: Place) -> None:
    over_sockets.start_worker()
    (busy,) = over_sockets.servers
    waiting = [over_sockets.call(rows(n % 9)) for n in range(200)]
    over_sockets.start_worker()
    busy.stop(within_s=5)

    assert all(each.reply().outputs is not None for each in waiting)


def test_calls_of_a_quick_model_do_not_wait_for_those_of_a_slow_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("QUICK_S", "NOTICED_S", "SLOW_S"):
        monkeypatch.setattr(quick_versions, limit, FOREVER_S)
    goes_on, run = threading.Event(), place.engine.run

    def held(model: str, *args: Any, **options: Any) -> Outputs:
        if model == "picture":
            assert goes_on.wait(FOREVER_S)
        return run(model, *args, **options)

    monkeypatch.setattr(place.engine, "run", held)
    place.start_worker()
    for _ in range(quick_versions.WEIGHT):
        place.call(rows(1)).reply()

    slow = place.call({"image": np.zeros((1, 4, 4, 1), np.float32)}, model="picture")
    wait_until(lambda: place.caller.batches_on_their_way == 1, what="the slow one's is on its way")
    quick = [place.call(rows(value)).reply() for value in (1, 10)]
    still_waits = slow.empty()
    goes_on.set()

    assert still_waits and all(only(each.outputs).shape == (1, 2) for each in quick if each.outputs)
    assert slow.reply().outputs is not None


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


def test_what_comes_to_a_worker_too_late_is_not_run(over_sockets: Place) -> None:
    processor = call_processor(over_sockets.engine, "worker")

    body = encode_request(Request("table", "1", rows(1), {}, time.time() - 0.5))
    reply = decode_reply(processor.answer(body))

    assert isinstance(reply.error, DeadlineExceeded) and "clocks differ" in str(reply.error)


def test_a_batch_that_makes_no_sense_is_answered_by_an_error(over_sockets: Place) -> None:
    processor = call_processor(over_sockets.engine, "worker")

    for body in (b"", b"\xff" * 40, b"\x00\x00\x00\x02{}"):
        reply = decode_reply(processor.answer(body))
        assert reply.error is not None and reply.error.code == "internal_error"


def test_calls_wait_for_a_worker_that_is_started_again_and_are_refused_when_none_is(
    over_sockets: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    over_sockets.start_worker()
    over_sockets.servers.pop().stop(within_s=5)
    waiting = over_sockets.call(rows(1))
    over_sockets.start_worker()
    assert shares(waiting.reply()) == [0.05]

    monkeypatch.setattr(worker_link, "ALONE_S", 0)
    over_sockets.servers.pop().stop(within_s=5)
    wait_until(lambda: not over_sockets.caller.is_connected, what="the caller sees that it is alone")
    with pytest.raises(Unavailable, match="no worker answers"):
        over_sockets.call(rows(1))
