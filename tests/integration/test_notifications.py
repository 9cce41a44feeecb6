"""Notifications as AWS sends them: a bucket tells a topic of SNS, which posts to the service (moto does both)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from testing.celeriac import Celeriac, celeriac
from testing.processes import wait_until
from testing.s3 import S3, s3_store
from tests.integration.test_scans import png

TOKEN = "0123456789abcdef-AWS"
TRICKY = ("a b.png", "a+b.png", "%20.png", "50%.png", "ä/日本.png", "q?x=1&y.png", "#1.png")
BUCKET = "uploads"
RULES = f"rules:\n  - {{bucket: {BUCKET}, prefix: in/, suffix: .png, model: fashion_mnist}}\n"


@dataclass(frozen=True)
class Uploads:
    """A bucket that tells a service of what comes."""

    s3: S3
    service: Celeriac

    def put(self, key: str, body: bytes) -> None:
        self.s3.client().put_object(Bucket=BUCKET, Key=key, Body=body)

    def outcomes(self) -> list[tuple[str, str]]:
        """Key, and state or error, of each item of what was told of."""
        jobs = self.service.web.get("/api/jobs", params={"limit": 1000}).raise_for_status().json()["jobs"]
        items = [item for job in jobs for item in self.service.results(job)]
        return sorted(
            (
                item["url"].removeprefix(f"s3://{BUCKET}/"),
                item["error"]["code"] if item["error"] else item["state"],
            )
            for item in items
        )

    def wait_for(self, expected: list[tuple[str, str]]) -> None:
        """Wait until what was told of has come to exactly this."""
        seen: list[tuple[str, str]] = []

        def has_come() -> bool:
            seen[:] = self.outcomes()
            return seen == sorted(expected)

        try:
            wait_until(has_come, what="all is told and done", timeout_s=30)
        finally:
            assert seen == sorted(expected), self.service.log


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_store() as store:
        yield store


def settings(folder: Path, s3: S3, **more: str) -> dict[str, str]:
    (folder / "events.yaml").write_text(RULES)
    rules = {"EVENTS_FILE": str(folder / "events.yaml"), "EVENTS_TOKEN": TOKEN}
    return {**rules, "STORAGE_ALLOW": f"s3://{BUCKET}/in", **s3.environ, **more}


def subscribe(s3: S3, service: Celeriac) -> Uploads:
    """A bucket whose topic posts to the service."""
    s3.fill(BUCKET, {})
    environ = s3.environ
    sns = boto3.client(
        "sns",
        endpoint_url=s3.url,
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        region_name=environ["AWS_DEFAULT_REGION"],
    )
    # All of moto's servers in one process have the same topics.
    topic = sns.create_topic(Name=f"uploads-{service.port}")["TopicArn"]
    to = f"{service.url}/events/s3?token={TOKEN}"
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=to)
    wanted: dict[str, Any] = {"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}
    s3.client().put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"TopicConfigurations": [wanted]}
    )
    return Uploads(s3, service)


def test_what_is_uploaded_is_told_of_and_classified_once_whatever_its_key(tmp_path: Path, s3: S3) -> None:
    with celeriac(tmp_path, **settings(tmp_path, s3)) as service:
        uploads = subscribe(s3, service)
        for number, key in enumerate(TRICKY):
            uploads.put(f"in/{key}", png(number))
        uploads.put("in/notes.txt", b"of which no rule is")
        uploads.put("out/a.png", png(9))
        uploads.put(f"in/{TRICKY[0]}", png(0))

        uploads.wait_for([(f"in/{key}", "succeeded") for key in TRICKY])
        assert TOKEN not in service.log


def test_what_happens_to_an_object_between_its_event_and_its_fetch_is_told(
    tmp_path: Path, s3: S3, broker_url: str
) -> None:
    more = {"BROKER_URL": broker_url, "MAX_OBJECT_BYTES": "100000", "LEASE_S": "60"}
    with celeriac(tmp_path, **settings(tmp_path, s3, **more)) as service:
        uploads = subscribe(s3, service)
        (worker,) = service.children("worker")
        os.kill(worker, signal.SIGSTOP)
        bodies = {"deleted": png(1), "replaced": png(2), "empty": b"", "text": b"no image", "good": png(3)}
        for name, body in {**bodies, "large": png(4) + b"x" * 100_000}.items():
            uploads.put(f"in/{name}.png", body)
        s3.client().delete_object(Bucket=BUCKET, Key="in/deleted.png")
        uploads.put("in/replaced.png", png(5))
        os.kill(worker, signal.SIGCONT)

        expected = [
            ("in/deleted.png", "object_missing"),
            ("in/empty.png", "empty_file"),
            ("in/good.png", "succeeded"),
            ("in/large.png", "object_too_large"),
            ("in/replaced.png", "object_replaced"),
            ("in/replaced.png", "succeeded"),
            ("in/text.png", "not_an_image"),
        ]
        uploads.wait_for(expected)
