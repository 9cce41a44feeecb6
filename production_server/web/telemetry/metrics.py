"""What the web processes have answered, and how long that took, for Prometheus."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from production_server.broker.caller import Caller
from production_server.broker.publisher import Publisher
from production_server.jobs.database import Database
from production_server.loop import Loop
from production_server.web.telemetry.histograms import BulkHistogram, Observations
from production_server.web.telemetry.process_files import AllProcesses
from production_server.web.telemetry.service_state import ServiceState

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TELL_EVERY_S = 1.0
"""How old what one process tells of another one may be."""
KIND = ("protocol", "model", "version")
NOT_COUNTED = (OSError, IndexError)
"""What Prometheus' client raises where it cannot open its file once more to enlarge it. An answer counts for more."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallTimes:
    """Where an answered call's time went, in seconds, and how many items travelled with it."""

    waiting_s: float
    """Until it was sent: other batches of its kind were on their way."""
    queue_s: float
    """Between the processes: in the broker, and in front of the worker."""
    batch_s: float
    """In the worker: decoding, the model and the rest, for the whole batch."""
    model_s: float
    """What of that was the model's own."""
    batch_items: int


class Metrics:
    """The metrics of one web process, and of all where there are several.

    Safe to share between threads, but for `call_answered`, which is one thread's: the event loop's.
    """

    def __init__(
        self, database: Database, publisher: Publisher, caller: Caller, *, folder: Path | None
    ) -> None:
        """`folder` is where all web processes keep what they count; None: this one does not share it."""
        # The time when each series began would be a second series for each.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        own = self._own = CollectorRegistry()
        self._calls = _Calls(own)
        self._requests = Counter(
            "celeriac_http_requests_total",
            "Other HTTP requests that were answered",
            ["method", "endpoint", "code"],
            registry=own,
        )
        self._request_seconds = BulkHistogram(
            "celeriac_http_request_seconds",
            "How long other HTTP requests took",
            ["method", "endpoint"],
            buckets=SECONDS,
            registry=own,
        )
        self._limited = Counter(
            "celeriac_requests_limited_total",
            "Requests and calls that a limit kept out",
            ["limit"],
            registry=own,
        )
        self._caller = caller
        self._waiting = _gauge("celeriac_calls_waiting_items", "Items of calls that wait to be sent", own)
        self._batches = _gauge("celeriac_call_batches", "Batches of calls on their way", own)
        self._unsent = _gauge(
            "celeriac_call_batches_unsent", "Batches of calls that wait for a worker with room", own
        )
        self._workers = Gauge(
            "celeriac_call_workers",
            "Workers that a web process reaches, of the one that reaches the fewest",
            registry=own,
            multiprocess_mode="livemin",
        )
        self._broken = Counter(
            "celeriac_call_batches_broken_total",
            "Batches of calls that a worker had whose connection broke",
            ["then"],
            registry=own,
        )
        self._told_broken: dict[str, int] = {}
        self._telling = threading.Lock()
        self._loop = Loop("metrics", self._tell, pause_s=TELL_EVERY_S)
        self._collectors = self._asked(ServiceState(database, publisher), folder)

    def _asked(self, state: ServiceState, folder: Path | None) -> CollectorRegistry:
        """What is asked when Prometheus asks."""
        asked = CollectorRegistry()
        if folder:
            asked.register(AllProcesses(folder))
        else:
            asked.register(self._own)
            ProcessCollector(registry=asked)
        asked.register(state)
        return asked

    def start(self) -> None:
        """Start to tell the other processes."""
        self._loop.start()

    def close(self) -> None:
        """Tell them for the last time."""
        self._loop.stop()
        self._tell()

    def call_answered(
        self, protocol: str, key: tuple[str, str], code: int, *, seconds: float, times: CallTimes | None
    ) -> None:
        """A call of a model and version was answered; without `times`, by an error."""
        try:
            self._calls.answered((protocol, *key), code, seconds, times)
        except NOT_COUNTED as exc:
            log.warning("a call is not counted: %s", exc)

    def request_answered(self, method: str, endpoint: str, code: int, *, seconds: float) -> None:
        """A request that is no call was answered."""
        try:
            self._requests.labels(method, endpoint, str(code)).inc()
            self._request_seconds.labels(method, endpoint).observe(seconds)
        except NOT_COUNTED as exc:
            log.warning("a request is not counted: %s", exc)

    def request_limited(self, limit: str) -> None:
        """A limit has kept a request or a call out."""
        try:
            self._limited.labels(limit).inc()
        except NOT_COUNTED as exc:
            log.warning("a request is not counted: %s", exc)

    def text(self) -> bytes:
        """All metrics, as Prometheus reads them. Blocks while database and broker are asked."""
        self._tell()
        return generate_latest(self._collectors)

    def _tell(self) -> bool:
        with self._telling:
            try:
                self._calls.tell()
            except NOT_COUNTED as exc:
                log.warning("calls are not counted: %s", exc)
            self._waiting.set(self._caller.waiting_items)
            self._batches.set(self._caller.batches_on_their_way)
            self._unsent.set(self._caller.link.unsent_batches)
            self._workers.set(self._caller.link.workers)
            for then, count in self._caller.link.broken.items():
                self._broken.labels(then).inc(count - self._told_broken.get(then, 0))
                self._told_broken[then] = count
        return False


class _Calls:
    """Counts interactive calls, by protocol, model and version."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "celeriac_calls_total",
            "Interactive calls that were answered, by status code",
            [*KIND, "code"],
            registry=registry,
        )

        def histogram(
            name: str, text: str, bounds: tuple[float, ...] = SECONDS
        ) -> Callable[..., Observations]:
            made = BulkHistogram(name, text, KIND, buckets=bounds, registry=registry)
            return lambda *kind: Observations(made.labels(*kind), bounds)

        # In the order of `answered`.
        self._histograms = [
            histogram("celeriac_call_seconds", "From a call's arrival to its answer"),
            histogram("celeriac_call_waiting_seconds", "Until a call was sent to a worker"),
            histogram("celeriac_call_queue_seconds", "Between web process and worker, both ways"),
            histogram("celeriac_call_batch_seconds", "In the worker: decoding, the model and the rest"),
            histogram("celeriac_call_model_seconds", "The model's own part of that"),
            histogram("celeriac_call_batch_items", "Items that travelled together", ITEMS),
        ]
        self._series: dict[tuple[str, str, str], tuple[dict[int, int], list[Observations]]] = {}
        self._told: dict[tuple[str, str, str, int], int] = {}

    def answered(
        self, kind: tuple[str, str, str], code: int, seconds: float, times: CallTimes | None
    ) -> None:
        found = self._series.get(kind)
        if found is None:
            found = self._series[kind] = {}, [make(*kind) for make in self._histograms]
        codes, (whole, waiting, queue, batch, model, items) = found
        codes[code] = codes.get(code, 0) + 1
        whole.observe(seconds)
        if times is not None:
            waiting.observe(times.waiting_s)
            queue.observe(times.queue_s)
            batch.observe(times.batch_s)
            model.observe(times.model_s)
            items.observe(times.batch_items)

    def tell(self) -> None:
        # Copies, for the event loop goes on counting.
        for kind, (codes, series) in list(self._series.items()):
            for code, count in codes.copy().items():
                self._answers.labels(*kind, str(code)).inc(count - self._told.get((*kind, code), 0))
                self._told[*kind, code] = count
            for observations in series:
                observations.tell()


def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    """A gauge that several processes add up to, as long as they live."""
    return Gauge(name, text, registry=registry, multiprocess_mode="livesum")
