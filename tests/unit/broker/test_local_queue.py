"""What the worker's threads see of the queue within a process; what publishers do is in tests/contract."""

from __future__ import annotations

import threading
from uuid import uuid4

from production_server.broker.local_queue import LocalMessage, LocalQueue
from production_server.jobs.records import Chunk, Priority

JOB = uuid4()


def chunk(start: int, priority: Priority = "normal") -> Chunk:
    return Chunk(JOB, start, start + 1, priority)


def start_of(message: LocalMessage | None) -> int:
    assert message is not None
    return message.chunk.start


def taking(queue: LocalQueue, count: int) -> tuple[list[threading.Thread], list[LocalMessage | None]]:
    """Threads that take one message each, and what they have taken."""
    taken: list[LocalMessage | None] = []
    threads = [threading.Thread(target=lambda: taken.append(queue.take())) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, taken


def test_what_is_urgent_overtakes_what_waits_already() -> None:
    queue = LocalQueue()
    queue.publish([chunk(1), chunk(2)])

    first = start_of(queue.take())
    queue.publish([chunk(3, "high"), chunk(4, "high")])

    assert [first, *(start_of(queue.take()) for _ in range(3))] == [1, 3, 4, 2]


def test_threads_that_wait_get_one_message_each() -> None:
    queue = LocalQueue()
    threads, taken = taking(queue, 3)

    queue.publish([chunk(1), chunk(2, "high"), chunk(3)])

    for thread in threads:
        thread.join()
    assert sorted(map(start_of, taken)) == [1, 2, 3]


def test_all_that_wait_are_told_when_it_is_closed() -> None:
    queue = LocalQueue()
    threads, taken = taking(queue, 2)

    queue.close()

    for thread in threads:
        thread.join()
    assert taken == [None, None]


def test_what_waits_when_it_is_closed_is_left() -> None:
    queue = LocalQueue()
    queue.publish([chunk(1)])

    queue.close()

    assert (queue.take(), queue.waiting_messages()) == (None, 1)
