"""What the client makes of answers that are as they should be, newer than it, or of something else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from client.answers import Job, ResultPage, Scan, read, read_problem
from client.errors import Fault, Unavailable

URL = "http://127.0.0.1:5100/api/jobs"
JOB: dict[str, Any] = {
    "id": "7",
    "state": "running",
    "model": "diabetes",
    "version": "1",
    "total": 2,
    "succeeded": 1,
    "failed": 0,
}
SCAN: dict[str, Any] = {
    "id": "7",
    "state": "listing",
    "url": "s3://photos",
    "pattern": "*",
    "model": "diabetes",
    "version": "1",
    "dry_run": False,
    "listed": 2,
    "matched": 2,
    "skipped": 0,
}


def test_what_a_newer_server_adds_is_ignored_and_what_is_left_out_has_its_default() -> None:
    job = read(Job, json.dumps(JOB | {"color": "green"}).encode(), url=URL)

    assert (job.id, job.cancelled, job.created, job.links) == ("7", 0, None, {})


def test_what_is_inside_a_scan_is_read_too() -> None:
    body = SCAN | {"job": JOB, "error": {"code": "access_denied", "message": "no"}}

    scan = read(Scan, json.dumps(body).encode(), url=URL)

    assert scan.job is not None and scan.job.done == 1
    assert str(scan.error) == "access_denied: no"


def test_whole_numbers_are_scores_too() -> None:
    page = {"results": [{"index": 0, "state": "succeeded", "score": 1, "output": [1, 0]}], "next": None}

    (result,) = read(ResultPage, json.dumps(page).encode(), url=URL).results

    assert (result.score, result.output) == (1.0, [1.0, 0.0])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "Object missing required field `id`"),
        (JOB | {"total": "many"}, "Expected `int`, got `str` - at `$.total`"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_an_answer_of_another_kind_is_told_by_its_field(body: object, why: str) -> None:
    with pytest.raises(Unavailable) as told:
        read(Job, json.dumps(body).encode(), url=URL)

    assert str(told.value) == f"the server's answer is not a job: {why}"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"id": "\xff"}', b'{"x": ' + b"[" * 100_000])
def test_what_is_no_json_is_not_from_this_service(body: bytes) -> None:
    with pytest.raises(Unavailable) as told:
        read(Job, body, url=URL)

    assert str(told.value) == f"{URL} answered, but not as this service does"


def test_a_problem_has_its_faults() -> None:
    body = (
        b'{"detail": "no", "code": "invalid_input", "faults": [{"field": "a", "expected": "b", "got": "c"}]}'
    )

    refusal = read_problem(body, status=400)

    assert (str(refusal), refusal.code, refusal.faults) == ("no", "invalid_input", (Fault("a", "b", "c"),))


@pytest.mark.parametrize("body", [b"", b"nginx", b"[]", b"{}", b'{"detail": 5}', b'{"faults": 5}'])
def test_a_refusal_of_something_else_has_its_status(body: bytes) -> None:
    assert str(read_problem(body, status=418)) == "the server refused the request (status 418)"
