"""What a worker tells Prometheus: the chunks and batches that it has done, and where their time went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from production_server.errors import Fault, SettingsError
from production_server.inference import Engine
from production_server.settings import Settings

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
KIND = ("model", "version")


class WorkerMetrics:
    """The metrics of one worker; safe to share between threads.

    Embedded, they are told with those of the web process.
    """

    def __init__(self, engine: Engine) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_Loaded(engine))
        self._chunks = self._counter("celeriac_chunks_total", "Chunks of jobs that were taken")
        self._items = self._counter("celeriac_chunk_items_total", "Items of chunks that were done")
        self._chunk_seconds = self._histogram(
            "celeriac_chunk_seconds", "How long the stages of a chunk took: decode, model, store"
        )
        self._batches = self._counter("celeriac_batches_total", "Batches of interactive calls")
        self._batch_items = self._counter("celeriac_batch_items_total", "Items of those batches")
        self._batch_seconds = self._histogram(
            "celeriac_batch_seconds", "How long the stages of a batch of calls took: decode, model"
        )

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, f"{text}, by outcome", [*KIND, "outcome"], registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, [*KIND, "stage"], buckets=SECONDS, registry=self.registry)

    def chunk_ended(self, model: str, version: str, outcome: str, seconds: Mapping[str, float]) -> None:
        """A chunk, or what was left of it, is out of this worker's hands; `seconds` by stage."""
        self._chunks.labels(model, version, outcome).inc()
        for stage, each in seconds.items():
            self._chunk_seconds.labels(model, version, stage).observe(each)

    def items_stored(self, model: str, version: str, *, succeeded: int, failed: int) -> None:
        """Results took effect."""
        self._items.labels(model, version, "succeeded").inc(succeeded)
        self._items.labels(model, version, "failed").inc(failed)

    def batch_ended(
        self, model: str, version: str, outcome: str, items: int, seconds: Mapping[str, float]
    ) -> None:
        """A batch of interactive calls was answered; `seconds` by stage."""
        self._batches.labels(model, version, outcome).inc()
        self._batch_items.labels(model, version, outcome).inc(items)
        for stage, each in seconds.items():
            self._batch_seconds.labels(model, version, stage).observe(each)


class MetricsServer:
    """Answers /metrics of a worker process."""

    def __init__(self, metrics: WorkerMetrics, settings: Settings) -> None:
        """Listen on METRICS_PORT of HOST, in a thread.

        Raises:
            SettingsError: that cannot be listened on.
        """
        try:
            self._server, self._thread = start_http_server(
                settings.metrics_port, settings.host, metrics.registry
            )
        except (OSError, UnicodeError) as exc:
            got = f"{settings.host}:{settings.metrics_port} ({getattr(exc, 'strerror', None) or exc})"
            fault = Fault("HOST, METRICS_PORT", "an address that can be listened on", got)
            raise SettingsError((fault,)) from exc

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Loaded(Collector):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "celeriac_loaded_versions", "Versions that this worker has loaded", labels=KIND
        )
        for key in self._engine.loaded:
            family.add_metric(key, 1)
        yield family
