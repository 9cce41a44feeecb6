"""What Prometheus may ask of a web process: what it has answered and how long that took, and how the service stands."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from production_server.broker.caller import Caller
from production_server.broker.publisher import Publisher
from production_server.errors import Unavailable
from production_server.jobs.database import Database
from production_server.jobs.records import WorkerInfo
from production_server.jobs.statistics import Statistics, statistics
from production_server.jobs.workers import alive_workers

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
STATISTICS_FOR_S = 10.0
"""Jobs are counted this often at most, however often somebody asks."""


@dataclass(frozen=True, slots=True)
class CallTimes:
    """Where an answered call's time went, in seconds, and how many items travelled with it."""

    waiting_s: float
    """Until it was sent: other batches of its kind were on their way."""
    queue_s: float
    """Between the processes: in the broker, and in front of the worker."""
    run_s: float
    """In the worker: decoding and the model."""
    batch_items: int


class Metrics:
    """The metrics of one web process; safe to share between threads."""

    def __init__(self, database: Database, publisher: Publisher, caller: Caller) -> None:
        # The time when each series began would be a second series for each.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._calls = Counter(
            "celeriac_calls_total",
            "Interactive calls that were answered, by status code",
            ["protocol", "model", "version", "code"],
            registry=self._registry,
        )
        kind = ["protocol", "model", "version"]
        # In the order of `call_answered`: the time of the whole, then the parts of `CallTimes`.
        self._histograms = [
            self._histogram("celeriac_call_seconds", "From a call's arrival to its answer", kind),
            self._histogram("celeriac_call_waiting_seconds", "Until a call was sent to a worker", kind),
            self._histogram("celeriac_call_queue_seconds", "Between web process and worker, both ways", kind),
            self._histogram("celeriac_call_run_seconds", "In the worker: decoding and the model", kind),
            self._histogram(
                "celeriac_call_batch_items", "Items that travelled together", kind, buckets=ITEMS
            ),
        ]
        self._series: dict[tuple[str, str, str], list[Histogram]] = {}
        self._requests = Counter(
            "celeriac_http_requests_total",
            "Other HTTP requests that were answered",
            ["method", "endpoint", "code"],
            registry=self._registry,
        )
        self._request_seconds = self._histogram(
            "celeriac_http_request_seconds", "How long other HTTP requests took", ["method", "endpoint"]
        )
        self._registry.register(_State(database, publisher, caller))

    def _histogram(
        self, name: str, text: str, labels: list[str], *, buckets: tuple[float, ...] = SECONDS
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self._registry)

    def call_answered(
        self, protocol: str, key: tuple[str, str], code: int, *, seconds: float, times: CallTimes | None
    ) -> None:
        """A call of a model and version was answered; without `times`, by an error."""
        self._calls.labels(protocol, *key, str(code)).inc()
        series = self._series.get((protocol, *key))
        if series is None:
            # To look a series up by its labels takes longer than to observe a value.
            series = self._series[protocol, *key] = [each.labels(protocol, *key) for each in self._histograms]
        measured = [seconds]
        if times is not None:
            measured += [times.waiting_s, times.queue_s, times.run_s, times.batch_items]
        for histogram, value in zip(series, measured, strict=False):
            histogram.observe(value)

    def request_answered(self, method: str, endpoint: str, code: int, *, seconds: float) -> None:
        """A request that is no call was answered."""
        self._requests.labels(method, endpoint, str(code)).inc()
        self._request_seconds.labels(method, endpoint).observe(seconds)

    def text(self) -> bytes:
        """All metrics, as Prometheus reads them. Blocks while database and broker are asked."""
        return generate_latest(self._registry)


class _State(Collector):
    """How the service stands when it is asked: what the database, the broker and the caller know."""

    def __init__(self, database: Database, publisher: Publisher, caller: Caller) -> None:
        self._database = database
        self._publisher = publisher
        self._caller = caller
        self._lock = threading.Lock()
        self._counted_at = float("-inf")
        self._statistics = Statistics({}, {})

    def describe(self) -> Iterable[Metric]:
        """Nothing: asked for it, the registry would collect everything at the start."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All that is known; what does not answer is left out, and said to be down."""
        yield _gauge("celeriac_calls_waiting_items", "Items that wait to be sent", self._caller.waiting_items)
        yield _gauge("celeriac_call_batches", "Batches on their way", self._caller.batches_on_their_way)
        yield from self._of_broker()
        yield from self._of_database()

    def _of_broker(self) -> Iterable[Metric]:
        try:
            messages: int | None = self._publisher.waiting_messages()
        except Unavailable:
            messages = None
        yield _gauge("celeriac_broker_up", "Whether the broker answers", float(messages is not None))
        if messages is not None:
            yield _gauge("celeriac_job_messages", "Chunks of jobs that wait in the broker's queues", messages)

    def _of_database(self) -> Iterable[Metric]:
        try:
            workers = alive_workers(self._database)
            counts = self._counts()
        except Unavailable:
            yield _gauge("celeriac_database_up", "Whether the database answers", 0)
            return
        yield _gauge("celeriac_database_up", "Whether the database answers", 1)
        yield _by_label("celeriac_jobs", "Stored jobs", "state", counts.jobs)
        yield _by_label("celeriac_items", "Items of stored jobs", "state", counts.items)
        yield from _of_workers(workers)

    def _counts(self) -> Statistics:
        with self._lock:
            if time.monotonic() - self._counted_at > STATISTICS_FOR_S:
                self._statistics = statistics(self._database)
                self._counted_at = time.monotonic()
            return self._statistics


def _of_workers(workers: Iterable[WorkerInfo]) -> Iterable[Metric]:
    alive = list(workers)
    yield _gauge("celeriac_workers", "Workers that are alive", len(alive))
    done = CounterMetricFamily(
        "celeriac_worker_items", "Items of jobs that a worker has done since it started", labels=["worker"]
    )
    loaded = GaugeMetricFamily(
        "celeriac_worker_models",
        "Versions that a worker had loaded when it started",
        labels=["worker", "model", "version"],
    )
    for worker in alive:
        done.add_metric([worker.name], worker.items_done)
        for name in worker.warm:
            loaded.add_metric([worker.name, *name.split("/", 1)], 1)
    yield done
    yield loaded


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _by_label(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
