"""Stores that do not answer keep nothing waiting but what lies in them: embedded, and over RabbitMQ and PostgreSQL."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from testing.celeriac import Celeriac, celeriac
from testing.odd_store import Answer, Answering, drips, odd_store
from testing.processes import wait_until
from testing.s3 import S3, s3_store

TOKEN = "0123456789abcdef"
ROW = [6, 148, 72, 35, 0, 33.6, 0.627, 50]
MODELS = {"model": "fashion_mnist"}


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), value).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(
    params=["embedded", pytest.param("rabbitmq", marks=[pytest.mark.rabbitmq, pytest.mark.postgres])]
)
def places(request: pytest.FixtureRequest) -> dict[str, str]:
    """What messages and rows travel by, and lie in."""
    if request.param == "embedded":
        return {}
    broker, database = request.getfixturevalue("broker_url"), request.getfixturevalue("database_url")
    return {"BROKER_URL": broker, "DATABASE_URL": database}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "photos"
    made.mkdir()
    for number in range(20):
        (made / f"{number}.png").write_bytes(png(number))
    return made


def settings_of(tmp_path: Path, folder: Path, store: S3) -> dict[str, str]:
    (tmp_path / "events.yaml").write_text(
        "rules:\n"
        "  - {bucket: gone-for-now, model: fashion_mnist}\n"
        "  - {bucket: there-all-along, model: fashion_mnist}\n"
    )
    return {
        "STORAGE_ALLOW": f"s3://gone-for-now s3://there-all-along file://{folder}",
        "EVENTS_FILE": str(tmp_path / "events.yaml"),
        "EVENTS_TOKEN": TOKEN,
        **store.environ,
    }


def tell(service: Celeriac, bucket: str, *keys: str) -> str:
    """Tell of objects, and get the job that they become."""
    records = [
        {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
         "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 10}}}
        for key in keys
    ]  # fmt: skip
    answer = service.web.post(f"/events/s3?token={TOKEN}", json={"Records": records})
    jobs: list[str] = answer.raise_for_status().json()["jobs"]
    return jobs[0]


def look(service: Celeriac, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = service.web.get(f"/api/jobs/{job_id}").json()
    return found


def submit_beside(service: Celeriac, folder: Path) -> Iterator[str]:
    """Jobs of all kinds whose inputs are at hand, and a scan of a folder; their ids."""
    post = service.web.post
    for priority in ("normal", "high"):
        rows = {"model": "diabetes", "inputs": [ROW] * 40, "priority": priority}
        yield post("/api/jobs", json=rows).raise_for_status().json()["id"]
        files = [("file", (f"{number}.png", png(number), "image/png")) for number in range(20)]
        told = MODELS | {"priority": priority}
        yield post("/api/jobs", data=told, files=files).raise_for_status().json()["id"]
    yield post("/api/scans", json=MODELS | {"url": f"file://{folder}"}).raise_for_status().json()["id"]


def assert_all_others_end(service: Celeriac, folder: Path, waiting: list[str], *more: str) -> None:
    beside = [*submit_beside(service, folder), *more]
    wait_until(
        lambda: all(look(service, job)["state"] == "finished" for job in beside),
        what="what has its data at hand is over",
        timeout_s=60,
    )

    assert [look(service, job)["failed"] for job in beside] == [0] * len(beside)
    assert {look(service, job)["succeeded"] for job in waiting} == {0}
    assert not [job for job in waiting if look(service, job)["state"] == "finished"]


def test_while_nobody_listens_where_a_store_was_all_else_goes_on_and_what_waits_says_why(
    tmp_path: Path, folder: Path, places: dict[str, str]
) -> None:
    with s3_store() as store:
        for bucket in ("gone-for-now", "there-all-along"):
            store.fill(bucket, {f"{number}.png": png(number) for number in range(10)})
        with celeriac(tmp_path, **settings_of(tmp_path, folder, store), **places) as service:
            with store.away():
                told = [tell(service, "gone-for-now", f"{number}.png") for number in range(10)]
                wait_until(lambda: look(service, told[0])["waiting"], what="it is said that it waits")
                scan = service.web.post("/api/scans", json=MODELS | {"url": "s3://there-all-along"}).json()
                wait_until(
                    lambda: service.web.get(f"/api/scans/{scan['id']}").json()["error"], what="it says why"
                )

                assert_all_others_end(service, folder, told)
                waiting = look(service, told[0])["waiting"]
                page = service.web.get(f"/predictions/{told[0]}", headers={"Accept": "text/html"}).text
                listing = service.web.get(f"/api/scans/{scan['id']}").json()
            wait_until(
                lambda: all(look(service, job)["state"] == "finished" for job in [*told, scan["id"]]),
                what="all is classified",
                timeout_s=90,
            )

            assert (waiting["bucket"], "does not answer" in waiting["message"]) == ("s3://gone-for-now", True)
            assert "Waiting for <code>s3://gone-for-now</code>" in page
            assert (listing["state"], listing["error"]["code"]) == ("listing", "storage_unavailable")
            assert [look(service, job)["succeeded"] for job in told] == [1] * 10
            assert look(service, scan["id"])["succeeded"] == 10
            assert look(service, told[0])["waiting"] is None


def silent(answering: Answering) -> None:
    """Nothing, though the connection stays open."""
    answering.server.store.closing.wait()


def by_bucket(odd: Answer) -> Answer:
    """An answer that is odd for one bucket, and a picture for the other one."""

    def answer(answering: Answering) -> None:
        if answering.path.startswith("/gone-for-now/"):
            odd(answering)
        else:
            answering.whole(png(7))

    return answer


@pytest.mark.parametrize("odd", [silent, drips])
def test_a_store_that_answers_nothing_or_in_drips_keeps_no_other_waiting(
    tmp_path: Path, folder: Path, places: dict[str, str], odd: Answer
) -> None:
    with odd_store(by_bucket(odd)) as store:
        settings = settings_of(tmp_path, folder, S3(store.url))
        with celeriac(tmp_path, **settings, **places) as service:
            told = [
                tell(service, "gone-for-now", *(f"{job}-{number}.png" for number in range(20)))
                for job in range(10)
            ]
            wait_until(lambda: len(store.asked) > 3, what="the store is asked")
            good = tell(service, "there-all-along", *[f"{number}.png" for number in range(20)])

            assert_all_others_end(service, folder, told, good)
            # What is asked for and does not come keeps no process from ending, either.
            assert service.stop() == 0
