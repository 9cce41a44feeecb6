"""What Prometheus is told when it asks: how the service stands, as database and broker know it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from math import isinf

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from production_server.broker.publisher import Publisher
from production_server.errors import Unavailable
from production_server.jobs.channels import read_standings
from production_server.jobs.database import Database
from production_server.jobs.records import WorkerInfo
from production_server.jobs.statistics import Statistics, statistics
from production_server.jobs.stream_states import StreamState, stream_states
from production_server.jobs.workers import alive_workers
from production_server.models.channels import CANARY, Standings
from production_server.retraining.statistics import TrainingStatistics, training_statistics

STATISTICS_FOR_S = 10.0
"""Jobs are counted this often at most, however often somebody asks."""


class ServiceState(Collector):
    """The same from each web process. What does not answer is left out, and said to be down."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher
        self._lock = threading.Lock()
        self._counted_at = float("-inf")
        self._statistics = Statistics({}, {})
        self._trainings = TrainingStatistics(runs={}, latest_s={}, new_labels={})

    def describe(self) -> Iterable[Metric]:
        """Nothing: asked for it, the registry would collect everything at the start."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All that is known. Blocks while database and broker are asked."""
        yield from self._of_broker()
        yield from self._of_database()

    def _of_broker(self) -> Iterable[Metric]:
        try:
            depths = self._publisher.queue_depths()
        except Unavailable:
            depths = {}
        yield _gauge("celeriac_broker_up", "Whether the broker answers", float(bool(depths)))
        yield _by_label("celeriac_queue_messages", "Messages that wait in the broker", "queue", depths)

    def _of_database(self) -> Iterable[Metric]:
        try:
            workers = alive_workers(self._database)
            counts, trainings = self._counts()
            with self._database.read() as connection:
                standings = read_standings(connection)
            streams = stream_states(self._database)
        except Unavailable:
            yield _gauge("celeriac_database_up", "Whether the database answers", 0)
            return
        yield _gauge("celeriac_database_up", "Whether the database answers", 1)
        yield _by_label("celeriac_jobs", "Stored jobs", "state", counts.jobs)
        yield _by_label("celeriac_items", "Items of stored jobs", "state", counts.items)
        yield _gauge("celeriac_object_chunks", "Chunks of objects that are not done", counts.object_chunks)
        yield _gauge(
            "celeriac_away_buckets", "Buckets that do not answer, and are waited for", counts.away_buckets
        )
        yield from _of_workers(workers)
        yield _of_canaries(standings)
        yield from _of_streams(streams)
        yield from _of_trainings(trainings)

    def _counts(self) -> tuple[Statistics, TrainingStatistics]:
        with self._lock:
            if time.monotonic() - self._counted_at > STATISTICS_FOR_S:
                self._statistics = statistics(self._database)
                self._trainings = training_statistics(self._database)
                self._counted_at = time.monotonic()
            return self._statistics, self._trainings


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


def _of_canaries(standings: Standings) -> Metric:
    family = GaugeMetricFamily(
        "celeriac_canary_percent",
        "What a canary gets of the work that asks for no version",
        labels=["model", "version"],
    )
    for model, standing in standings.items():
        if standing.canary_percent:
            family.add_metric([model, standing.channels[CANARY]], standing.canary_percent)
    return family


def _of_streams(streams: Iterable[StreamState]) -> Iterable[Metric]:
    waiting = GaugeMetricFamily(
        "celeriac_stream_waiting_items", "Items of a stream without a result", labels=["stream"]
    )
    untold = GaugeMetricFamily(
        "celeriac_stream_untold", "Batches of results that a stream was not told yet", labels=["stream"]
    )
    lag = GaugeMetricFamily(
        "celeriac_stream_lag_messages", "Messages that wait in a partition", labels=["stream", "partition"]
    )
    readers = GaugeMetricFamily(
        "celeriac_stream_processes", "Processes that read a stream", labels=["stream", "paused"]
    )
    messages = CounterMetricFamily(
        "celeriac_stream_messages",
        "What a process did with messages of a stream since it began",
        labels=["stream", "process", "outcome"],
    )
    answered = HistogramMetricFamily(
        "celeriac_stream_result_seconds",
        "From when a message was sent to when its result was told",
        labels=["stream", "process"],
    )
    for each in streams:
        waiting.add_metric([each.name], each.waiting)
        untold.add_metric([each.name], each.untold)
        paused = Counter(str(member.told["paused"]).lower() for member in each.members)
        for is_paused, count in paused.items():
            readers.add_metric([each.name, is_paused], count)
        for member in each.members:
            for partition, behind in member.told["partitions"].items():
                if behind is not None:
                    lag.add_metric([each.name, partition], behind)
            for outcome in ("messages", "refused", "told"):
                messages.add_metric([each.name, member.process, outcome], member.told[outcome])
            buckets = [
                ("+Inf" if isinf(bound) else str(bound), count) for bound, count in member.answered_within()
            ]
            answered.add_metric([each.name, member.process], buckets, member.told["answered_s"])
    yield from (waiting, untold, lag, readers, messages, answered)


def _of_trainings(found: TrainingStatistics) -> Iterable[Metric]:
    runs = GaugeMetricFamily("celeriac_training_runs", "Training runs", labels=["model", "state"])
    for (model, state), count in found.runs.items():
        runs.add_metric([model, state], count)
    yield runs
    yield _by_label(
        "celeriac_training_seconds", "How long a model's latest run takes", "model", found.latest_s
    )
    yield _by_label(
        "celeriac_training_new_labels", "Labels since a model's latest run", "model", found.new_labels
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _by_label(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
