"""The command consume, at librdkafka's own cluster for tests."""

from __future__ import annotations

import contextlib
import csv
import json
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaException, TopicPartition

from client.streams.answers import read_answer
from client.streams.consuming import Received
from client.streams.messages import Incoming
from testing.kafka import MockKafka
from testing.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.client.conftest import Outcome, Run

QUICK = ("--options", "fetch.wait.max.ms=5")


SENT = "2026-11-30T10:00:00.125+00:00"


def result(number: str, **told: Any) -> bytes:
    """What the service tells of a row."""
    usual = {
        "id": number, "stream": "patients", "from": "patients/0/1", "job": "a-job", "model": "diabetes", "index": 0,
        "name": None, "url": None, "state": "succeeded", "answer": "diabetes", "label": "diabetes", "labels": None,
        "score": 0.765, "output": [0.235, 0.765], "top": None, "error": None, "expected": None,
        "outside_training_range": [], "version": "1", "ms": 0.3,
    }  # fmt: skip
    return json.dumps(usual | told).encode()


REFUSED = json.dumps(
    {"id": "bad", "stream": "patients", "from": "patients/0/2", "job": None, "state": "refused",
     "error": {"code": "invalid_input", "message": "inputs[0]: expected 8 numbers, got 2"}}
).encode()  # fmt: skip


def consume(run: Run, kafka: MockKafka, topic: str, *arguments: str | Path) -> Outcome:
    return run("consume", f"kafka://{kafka.address}/{topic}", "--timeout", "20", *QUICK, *arguments)


def test_results_are_shown_with_answer_score_and_latency(run: Run, kafka: MockKafka) -> None:
    kafka.produce("out", result("41", sent=SENT), result("42", name="shoe.png", answer="Sneaker", score=0.5))

    done = consume(run, kafka, "out", "--from-beginning", "--count", "2")

    assert done.code == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["MODEL", "INPUT", "PREDICTION", "SCORE", "LATENCY", "NOTE"]
    (shoe,) = (row for row in rows if "shoe.png" in row)
    assert shoe.split() == ["diabetes", "shoe.png", "Sneaker", "50.0%"]
    (timed,) = (row for row in rows if "76.5%" in row)
    assert timed.endswith(" ms")
    assert done.errors[-1].startswith(f"kafka://{kafka.address}/out: 2 received")


def test_refused_messages_are_shown_with_the_reason_on_both_topics(run: Run, kafka: MockKafka) -> None:
    kafka.produce("out", REFUSED)
    why: dict[str, Any] = {"celeriac-error": "invalid_input", "celeriac-reason": "no image"}
    kafka.produce("dead", b"\x00", **why)

    told = consume(run, kafka, "out", "--from-beginning", "--count", "1")
    dead = consume(run, kafka, "dead", "--from-beginning", "--count", "1")

    assert told.code == dead.code == 1
    assert "bad" in told.stdout and "invalid_input: inputs[0]: expected 8 numbers, got 2" in told.stdout
    assert "invalid_input: no image" in dead.stdout
    assert "1 received, 1 refused" in told.stderr and "1 received, 1 refused" in dead.stderr


def test_json_has_a_line_for_each_with_all_that_was_told(run: Run, kafka: MockKafka) -> None:
    kafka.produce("out", result("41", sent=SENT), b"\xff", b"hello")

    done = consume(run, kafka, "out", "--from-beginning", "--count", "3", "--json")

    assert done.code == 0, done.stderr
    lines = {line["place"]: line for line in map(json.loads, done.stdout.splitlines())}
    (told,) = (line for line in lines.values() if "state" in line)
    assert told.items() >= json.loads(result("41", sent=SENT)).items()
    assert told["latency_s"] >= 0
    assert sorted(str(line["value"]) for line in lines.values() if "value" in line) == ["None", "hello"]


def test_csv_has_a_header_and_no_formulas(run: Run, kafka: MockKafka) -> None:
    kafka.produce("out", result("42", answer="=cmd()", label=None, labels=["cat", "dog"]))

    done = consume(run, kafka, "out", "--from-beginning", "--count", "1", "--csv")

    (row,) = csv.DictReader(done.stdout.splitlines())
    assert (row["id"], row["answer"], row["label"], row["state"]) == ("42", "'=cmd()", "cat|dog", "succeeded")


def test_a_result_that_comes_twice_is_shown_once(run: Run, kafka: MockKafka) -> None:
    kafka.produce("out", result("42"), result("42"), ce_id="a-job/0")
    kafka.produce("out", result("43"), ce_id="a-job/1")

    done = consume(run, kafka, "out", "--from-beginning", "--count", "2", "--json")

    assert sorted(json.loads(line)["id"] for line in done.stdout.splitlines()) == ["42", "43"]


def test_without_from_beginning_only_what_comes_from_then_on_is_shown(run: Run, kafka: MockKafka) -> None:
    kafka.produce("out", result("before"))
    # Nothing tells this thread that the command has asked where the end is: so it goes on sending.
    is_over = threading.Event()

    def go_on() -> None:
        while not is_over.wait(0.05):
            kafka.produce("out", result("after"))

    sending = threading.Thread(target=go_on)
    sending.start()
    try:
        done = consume(run, kafka, "out", "--count", "1", "--json")
    finally:
        is_over.set()
        sending.join()

    assert (done.code, json.loads(done.stdout)["id"]) == (0, "after")


def test_a_group_goes_on_behind_what_it_was_shown(run: Run, kafka: MockKafka) -> None:
    kafka.produce("out", *(result(str(number)) for number in range(4)), key=lambda _: "one partition")

    done = consume(run, kafka, "out", "--group", "mine", "--from-beginning", "--count", "3", "--json")

    shown = [json.loads(line)["place"] for line in done.stdout.splitlines()]
    partition = int(shown[0].split("/")[1])
    assert shown == [f"out/{partition}/{offset}" for offset in range(3)]
    # That it joins again is not tried: the cluster for tests has it wait for a whole session.
    asking = kafka.consumer("out", group="mine")
    place = TopicPartition("out", partition)
    found: list[int] = []

    def is_told() -> bool:
        # On a busy machine the cluster may not say in time who keeps the group's offsets.
        with contextlib.suppress(KafkaException):
            found[:] = [each.offset for each in asking.committed([place], timeout=5)]
        return bool(found)

    wait_until(is_told, what="the group's offset")
    asking.close()
    assert found == [3]


def test_fewer_than_the_count_in_time_is_an_error_and_without_a_count_none(
    run: Run, kafka: MockKafka
) -> None:
    kafka.produce("out", result("42"))
    address = f"kafka://{kafka.address}/out"

    few = run("consume", address, "--from-beginning", "--count", "2", "--timeout", "1", *QUICK)
    all_there_are = run("consume", address, "--from-beginning", "--timeout", "1", "--quiet", *QUICK)

    assert (few.code, few.errors[-1]) == (4, "error: 1 of 2 came within 1 s")
    assert (all_there_are.code, all_there_are.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["kafka://h:1/out", "--csv", "--json"], "of --csv and --json only one goes"),
        (["pubsub://project/answers", "--group", "mine"], "--group and --from-beginning are Kafka's"),
        (["pubsub://project/answers", "--from-beginning"], "--group and --from-beginning are Kafka's"),
    ],
)
def test_what_does_not_go_together_is_one_line(run: Run, arguments: list[str], said: str) -> None:
    done = run("consume", *arguments)

    assert (done.code, len(done.errors)) == (2, 1)
    assert said in done.stderr


def test_how_it_stands_is_said_in_words() -> None:
    def messages() -> Iterator[Incoming]:
        for number in range(100):
            value = result(str(number), state="failed" if number == 0 else "succeeded", sent=SENT)
            at = datetime.fromisoformat(SENT).timestamp()
            yield Incoming(
                value=value, headers={}, place=f"out/0/{number}", sent_at=at + (0.020 if number < 90 else 0.5)
            )

    received = Received()
    received.new([read_answer(each) for each in messages()])

    assert received.summary() == "100 received, 1 failed, from sent to told 20 ms (p50), 500 ms (p99)"
