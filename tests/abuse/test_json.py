"""JSON that costs far more than its size: refused before anything is made of it, and read where nobody else waits."""

from __future__ import annotations

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from testing.neighbours import CALL, HUNG_S, MODEL

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from testing.celeriac import Celeriac
    from testing.neighbours import Seen

    Neighbours = Callable[[], AbstractContextManager[Seen]]

CALL_BYTES, JOB_BYTES = 16 * 2**20 - 100, 64 * 2**20 - 100
JSON = {"content-type": "application/json"}
UNITS = {
    "empty lists": b"[],",
    "empty objects": b"{},",
    "objects": b'{"":1},',
    "numbers": b"1.5,",
    "texts": b'"a",',
    "brackets in brackets": b"[" * 500 + b"]" * 500 + b",",
    "rows of texts with colons": b'[{"a":":"}],',
}


def filled(head: bytes, unit: bytes, tail: bytes, size_bytes: int) -> bytes:
    """A body of about that size that is mostly one thing, again and again."""
    count = (size_bytes - len(head) - len(tail)) // len(unit)
    return head + (unit * count).rstrip(b",") + tail


def posted(service: Celeriac, path: str, body: bytes) -> httpx.Response:
    return httpx.post(service.url + path, content=body, headers=JSON, timeout=HUNG_S)


@pytest.mark.parametrize("unit", ["empty lists", "texts", "brackets in brackets"])
def test_calls_of_16_mb(service: Celeriac, neighbours: Neighbours, unit: str) -> None:
    body = filled(b'{"instances":[', UNITS[unit], b"]}", CALL_BYTES)

    with neighbours(), ThreadPoolExecutor(4) as four:
        answers = list(four.map(lambda _: posted(service, CALL, body), range(8)))
        time.sleep(0.5)  # they are refused before anybody has asked for much

    assert {answer.status_code for answer in answers} <= {413, 503}
    assert "at most 96 MiB" in answers[0].json()["error"]


def test_calls_as_large_as_are_read(service: Celeriac, neighbours: Neighbours) -> None:
    body = filled(b'{"instances":[', UNITS["empty lists"], b"]}", 3 * 2**19)

    with neighbours(), ThreadPoolExecutor(4) as four:
        answers = list(four.map(lambda _: posted(service, CALL, body), range(12)))

    assert {answer.status_code for answer in answers} <= {400, 503, 504}


@pytest.mark.parametrize("unit", UNITS)
def test_jobs_of_64_mb(service: Celeriac, neighbours: Neighbours, unit: str) -> None:
    body = filled(b'{"model":"%b","inputs":[' % MODEL.encode(), UNITS[unit], b"]}", JOB_BYTES)

    with neighbours():
        answer = posted(service, "/api/jobs", body)
        time.sleep(0.5)

    assert answer.status_code == 400
    assert "inputs[0]" in answer.text


def test_a_job_of_64_mb_that_is_one_list(service: Celeriac, neighbours: Neighbours) -> None:
    body = filled(b'{"model":"%b","inputs":[[[' % MODEL.encode(), b"[],", b"]]]}", JOB_BYTES)

    with neighbours():
        answer = posted(service, "/api/jobs", body)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_job_of_100000_rows_in_64_mb(service: Celeriac, neighbours: Neighbours) -> None:
    """What a user may send: it is taken, in no more memory than its bytes and what is stored of them."""
    chance = random.Random(1)
    some = [
        json.dumps([round(chance.uniform(0, 200), 4) for _ in range(8)]) + " " * 580 for _ in range(1_000)
    ]
    body = b'{"model":"%b","inputs":[%b]}' % (MODEL.encode(), ",".join(some * 100).encode())
    assert 60e6 < len(body) < JOB_BYTES

    with neighbours():
        answer = posted(service, "/api/jobs", body)
        assert answer.status_code == 202
        httpx.delete(service.url + answer.json()["links"]["self"]).raise_for_status()
