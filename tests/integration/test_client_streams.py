"""Requests that the client sends to streams, through the service, to results that the client shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.cli import main
from testing.celeriac import Celeriac, celeriac
from testing.kafka import QUICK, MockKafka
from testing.s3 import S3

EXAMPLES = Path(__file__).parents[2] / "examples"
BUCKET = "photos"


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    running = MockKafka()
    running.make_topics("patients", "images", "answers", "refused")
    yield running
    running.close()


@pytest.fixture
def service(tmp_path: Path, kafka: MockKafka, s3: S3) -> Iterator[Celeriac]:
    s3.fill(BUCKET, {})
    told = {"results": "answers", "dead_letters": "refused", "properties": QUICK}
    streams = {
        topic: {"from": f"kafka://{kafka.address}/{topic}", "models": model, **told}
        for topic, model in (("patients", "diabetes"), ("images", "fashion_mnist"))
    }
    file = tmp_path / "streams.yaml"
    file.write_text(json.dumps({"streams": streams}))
    with celeriac(tmp_path, STREAMS_FILE=str(file), STORAGE_ALLOW=f"s3://{BUCKET}", **s3.environ) as running:
        yield running


def test_what_is_produced_is_answered_by_its_id_and_what_is_bad_is_refused_on_both_topics(
    service: Celeriac, kafka: MockKafka, capsys: pytest.CaptureFixture[str]
) -> None:
    def client(code: int, command: str, topic: str, *arguments: str | Path) -> dict[str, dict[str, Any]]:
        """The lines that a command prints, by the ids of requests."""
        place = f"kafka://{kafka.address}/{topic}"
        assert main([command, place, "--json", *map(str, arguments)]) == code, capsys.readouterr().err
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return {line.get("id") or line["headers"]["id"]: line for line in lines}

    wait = ("--from-beginning", "--timeout", "60", "--options", "fetch.wait.max.ms=5")
    table = EXAMPLES / "patients.csv"
    rows = client(0, "produce", "patients", "--csv", table)
    chunk = client(0, "produce", "patients", "--csv", table, "--rows", "100")
    item = client(
        0, "produce", "patients", "6", "148", "72", "35", "0", "33.6", "0.627", "50", "--model", "diabetes"
    )
    bad = client(0, "produce", "patients", "1", "2")
    images = client(0, "produce", "images", EXAMPLES / "shoe.png", EXAMPLES / "bag.png")
    large = client(
        0, "produce", "images", EXAMPLES / "bag.png", "--by", f"s3://{BUCKET}/large", "--over", "10"
    )
    wanted = 2 * len(rows) + len(item) + len(bad) + len(images) + len(large)

    told = client(1, "consume", "answers", "--count", str(wanted), *wait)
    refused = client(1, "consume", "refused", "--count", "1", *wait)

    assert told.keys() == {*rows, *chunk, *item, *bad, *images, *large}
    assert {told[number]["state"] for number in {*told} - {*bad}} == {"succeeded"}
    assert {told[number]["name"]: told[number]["label"] for number in images} == {
        "shoe.png": "Sneaker",
        "bag.png": "Bag",
    }
    assert [told[number]["label"] for number in large] == ["Bag"]
    assert [told[number]["state"] for number in bad] == ["refused"]
    assert refused.keys() == bad.keys()
    assert all(0 <= each["latency_s"] < 60 for each in told.values())
