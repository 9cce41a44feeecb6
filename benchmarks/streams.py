"""Messages of a Kafka topic, from the first one produced to the last result on the other topic, beside what others do.

The cluster is librdkafka's own for tests, in the benchmark's process: its figures compare programs, and say nothing of
real clusters. MLServer has no setting for how long a fetch waits, so that its latency is not told.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
from confluent_kafka import Consumer, Producer

from benchmarks.bulk import job_rate, until_over
from benchmarks.images import png_files
from benchmarks.inputs import ROW, flat, model_file
from benchmarks.peers.catalogue import MLSERVER
from benchmarks.peers.servers import ENVIRONMENTS, server
from benchmarks.services import embedded, over_rabbitmq
from testing.celeriac import Celeriac
from testing.kafka import QUICK, MockKafka
from testing.processes import temporary_directory

PACED_S, PACED = 0.1, 100
"""How often a message comes where latency is measured, and how many."""
LIMIT_S = 300
MOST_IMAGES = 10_000
"""What a cluster of this kind keeps."""
OURS = json.dumps({"inputs": [ROW]}).encode()
THEIRS = json.dumps(
    {"inputs": [{"name": "input", "shape": [1, len(ROW)], "datatype": "FP32", "data": flat("diabetes")}]}
).encode()
BY_HAND_MOST = {"by hand, one at a time": 1, "by hand, 64 at a time": 64}


@dataclass(frozen=True)
class Way:
    """A way to answer a topic: from where, to where, and what its messages look like."""

    kafka: MockKafka
    topic: str
    results: str
    values: Sequence[bytes]
    headers: dict[str, bytes]

    def rate(self, count: int) -> float:
        """Messages per second, from the first one produced to the last result."""
        began, last = self._run(count, pause_s=0)
        return count / (max(last.values()) - began[0])

    def latencies(self) -> list[float]:
        """Milliseconds from produced to result, message by message, where few come."""
        began, last = self._run(PACED, pause_s=PACED_S)
        return [(last[number] - began[number]) * 1000 for number in range(PACED)]

    def _run(self, count: int, *, pause_s: float) -> tuple[list[float], dict[int, float]]:
        """When each message was produced, and when its result came, by its number."""
        mark = uuid4().hex
        coming = _Coming.of(self, mark)
        producer = Producer(
            {
                "bootstrap.servers": self.kafka.address,
                "linger.ms": 1,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        began = []
        headers = list(self.headers.items())
        for number in range(count):
            began.append(time.perf_counter())
            producer.produce(
                self.topic, self.values[number % len(self.values)], f"{mark} {number}", headers=headers
            )
            producer.poll(0)
            while pause_s and time.perf_counter() < began[number] + pause_s:
                coming.look(0.001)
        producer.flush()
        coming.wait(count)
        return began, coming.at


@dataclass
class _Coming:
    """Results of one run, and when they came, by their messages' numbers."""

    consumer: Consumer
    mark: str
    at: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, way: Way, mark: str) -> _Coming:
        consumer = way.kafka.consumer(way.results, group=mark, **{"auto.offset.reset": "latest"})
        while not consumer.assignment():
            consumer.poll(0.1)
        consumer.consume(1_000_000, 0.3)
        return cls(consumer, mark)

    def look(self, wait_s: float) -> None:
        for message in self.consumer.consume(1000, wait_s):
            sender, _, number = (message.key() or b"").decode().partition(" ")
            if message.error() is None and sender == self.mark:
                self.at[int(number)] = time.perf_counter()

    def wait(self, count: int) -> None:
        until = time.perf_counter() + LIMIT_S
        while len(self.at) < count:
            self.look(0.05)
            if time.perf_counter() > until:
                raise RuntimeError(f"{count - len(self.at)} of {count} messages have no result")
        self.consumer.close()


def measure(count: int, rounds: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Medians of messages per second and of latencies, by way, and the service's bulk job of as many rows."""
    kafka, files = MockKafka(), png_files(min(count, MOST_IMAGES))
    rates: dict[str, list[float]] = {}
    waits: dict[str, list[float]] = {}
    for name, start in {"embedded": embedded, "RabbitMQ": over_rabbitmq}.items():
        with _service(kafka, name, start, files) as (rows, images, service):
            rows.rate(100)
            images.rate(100)
            rates[f"bulk job, {name}"] = _bulk(service, count, rounds)
            rates[name] = [rows.rate(count) for _ in range(rounds)]
            waits[name] = rows.latencies()
            rates[f"bulk job of images, {name}"] = [job_rate(service, files) for _ in range(rounds)]
            rates[f"images, {name}"] = [images.rate(len(files)) for _ in range(rounds)]
            waits[f"images, {name}"] = images.latencies()
        report(", ".join(f"{way} {values[-1]:.0f}/s" for way, values in rates.items()))
    for name, most in BY_HAND_MOST.items():
        with _by_hand(kafka, most) as way:
            way.rate(100)
            rates[name] = [way.rate(count) for _ in range(rounds)]
            waits[name] = way.latencies()
            report(f"{name}: {rates[name]}")
    if (ENVIRONMENTS / "mlserver").exists():
        with _mlserver(kafka) as way:
            rates["MLServer"] = [way.rate(count) for _ in range(rounds)]
            report(f"MLServer: {rates['MLServer']}")
    kafka.close()
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "messages": count,
        "rounds": rounds,
        "messages_per_s": medians,
        "latency_ms": {
            name: {f"p{share}": float(np.percentile(values, share)) for share in (50, 99)}
            for name, values in waits.items()
        },
    }


def tables(found: dict[str, Any]) -> str:
    """As docs/benchmarks.md has it."""
    rates, waits = found["messages_per_s"], found["latency_ms"]
    lines = [
        f"{found['messages']} rows, {found['rounds']} rounds",
        "",
        "| | messages/s | of MLServer's | p50, p99 at 10/s |",
        "|---|---|---|---|",
    ]
    for name, rate in rates.items():
        beside = f"{rate / rates['MLServer']:.2f}" if "MLServer" in rates else ""
        wait = waits.get(name)
        shown = f"{wait['p50']:.0f} ms, {wait['p99']:.0f} ms" if wait else ""
        lines.append(f"| {name} | {rate:.0f} | {beside} | {shown} |")
    return "\n".join(lines)


@contextlib.contextmanager
def _service(
    kafka: MockKafka,
    name: str,
    start: Callable[..., contextlib.AbstractContextManager[Celeriac]],
    files: Sequence[bytes],
) -> Iterator[tuple[Way, Way, Celeriac]]:
    """A service with a stream of rows and one of images."""
    ways = {
        model: Way(kafka, f"{name}-{model}", f"{name}-{model}-out", values, {})
        for model, values in (("diabetes", [OURS]), ("fashion_mnist", files))
    }
    rules = {
        model: {
            "from": f"kafka://{kafka.address}/{way.topic}",
            "models": model,
            "results": way.results,
            "most_waiting": 1_000_000,
            "properties": {key: str(value) for key, value in QUICK.items()},
        }
        for model, way in ways.items()
    }
    kafka.make_topics(*(topic for way in ways.values() for topic in (way.topic, way.results)))
    with temporary_directory("streams") as folder:
        # JSON is YAML, too.
        (folder / "streams.yaml").write_text(json.dumps({"streams": rules}))
        with start(STREAMS_FILE=str(folder / "streams.yaml")) as service:
            yield ways["diabetes"], ways["fashion_mnist"], service


def _bulk(service: Celeriac, count: int, rounds: int) -> list[float]:
    found = []
    for _ in range(rounds):
        began = time.time()
        found.append(count / (until_over(service, service.submit("diabetes", [ROW] * count)) - began))
    return found


@contextlib.contextmanager
def _by_hand(kafka: MockKafka, most: int) -> Iterator[Way]:
    topic, results = f"by-hand-{most}", f"by-hand-{most}-out"
    kafka.make_topics(topic, results)
    told = [str(model_file("diabetes")), kafka.address, topic, results, str(most)]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.kafka_by_hand", *told])
    try:
        yield Way(kafka, topic, results, [OURS], {})
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _mlserver(kafka: MockKafka) -> Iterator[Way]:
    topic, results = "mlserver-in", "mlserver-out"
    kafka.make_topics(topic, results)
    settings = {
        "kafka_enabled": True,
        "kafka_servers": kafka.address,
        "kafka_topic_input": topic,
        "kafka_topic_output": results,
    }
    with server(MLSERVER, "diabetes", model_file("diabetes"), settings):
        time.sleep(3)  # It reads what comes from now on, and does not say when now is.
        yield Way(kafka, topic, results, [THEIRS], {"mlserver-model": b"diabetes"})
