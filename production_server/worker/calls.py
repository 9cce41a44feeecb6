"""The worker's side of interactive calls: one thread that takes a batch, runs it, and answers to whoever sent it.

A thread of its own, beside those for chunks: a call must not wait until a chunk is done.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu import Consumer
from kombu.message import Message

from production_server.broker.amqp_link import (
    body_of,
    call_queue,
    connect,
    drain,
    keep_up,
    post,
)
from production_server.broker.calls import (
    CALL_QUEUE,
    Reply,
    Request,
    decode_request,
    encode_reply,
)
from production_server.errors import MISTAKE, CeleriacError, DeadlineExceeded
from production_server.inference import Engine, Outputs
from production_server.settings import Settings
from production_server.worker.throttle import Throttle

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing
    from production_server.worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)

PREFETCH = 2
"""While one batch is run, the next one is here already; more would wait for this worker while another one is free."""


class CallProcessor:
    """Runs batches of calls; safe to share between threads."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        *,
        name: str,
        throttle: Throttle,
        metrics: WorkerMetrics | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._name = name
        self._throttle = throttle
        self._metrics = metrics
        self._tracing = tracing

    def answer(self, body: bytes) -> bytes:
        """The reply to a message, whatever it is."""
        self._throttle.call_came()
        return encode_reply(self._run(body))

    def _run(self, body: bytes) -> Reply:
        try:
            request = decode_request(body)
        except ValueError:
            log.exception("a message cannot be read")
            return Reply(None, {}, CeleriacError(MISTAKE), 0, self._name)
        if self._tracing is None:
            return self._run_request(request)
        about = {"celeriac.model": request.model, "celeriac.version": request.version}
        with self._tracing.processing(CALL_QUEUE, request.trace, about):
            return self._run_request(request)

    def _run_request(self, request: Request) -> Reply:
        began = time.perf_counter()
        outputs: Outputs | None = None
        error: CeleriacError | None = None
        try:
            _check_time(request)
            outputs = self._engine.run(
                request.model,
                request.version,
                request.inputs,
                max_pixels=self._settings.max_image_pixels,
            )
        except CeleriacError as exc:
            error = exc
        except Exception:
            log.exception("a call failed")
            error = CeleriacError(MISTAKE)
        seconds = time.perf_counter() - began
        model_s = 0.0 if outputs is None else outputs.model_s
        outcome = "answered" if error is None else error.code
        stages = {"decode": seconds - model_s, "model": model_s}
        if self._metrics is not None:
            self._metrics.batch_ended(request.model, request.version, outcome, len(request.inputs), stages)
        if self._tracing is not None:
            self._tracing.note(
                "batch", {"outcome": outcome, **{f"{name}_s": s for name, s in stages.items()}}
            )
        return Reply(
            outputs=None if outputs is None else outputs.values,
            errors={} if outputs is None else outputs.errors,
            error=error,
            run_ms=seconds * 1000,
            worker=self._name,
            model_ms=model_s * 1000,
        )


class CallServer:
    """Answers calls over the broker from `start` to `stop`; one that does not answer is tried again for ever."""

    def __init__(self, app: Celery, processor: CallProcessor) -> None:
        self._app = app
        self._processor = processor
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=partial(keep_up, self._serve, until=self._stopped), name="calls", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Answer the batch in hand, give back what was fetched beside it, and end."""
        self._stopped.set()
        self._thread.join()

    def _serve(self) -> None:
        with connect(self._app) as connection, connection.channel() as channel:
            answer = partial(self._answer, channel=channel)
            with Consumer(channel, [call_queue()], on_message=answer, prefetch_count=PREFETCH):
                drain(connection, until=self._stopped)

    def _answer(self, message: Message, *, channel: Any) -> None:
        is_second_try = bool(message.delivery_info.get("redelivered"))
        if is_second_try:
            # Who had it before may have died of it: it comes no third time. What a process sends right before it dies
            # may never be read, so this waits for the answer to a question that comes after it.
            message.ack()
            channel.queue_declare(CALL_QUEUE, passive=True)
        reply_to = message.properties.get("reply_to")
        if reply_to:
            reply = self._processor.answer(body_of(message))
            post(channel, reply, reply_to, correlation_id=message.properties.get("correlation_id", ""))
        if not is_second_try:
            message.ack()


def _check_time(request: Request) -> None:
    """Whether somebody still waits: a batch may have been fetched by a worker that was stopped, or busy, since.

    Raises:
        DeadlineExceeded: nobody does.
    """
    late_s = time.time() - request.until
    if late_s > 0:
        raise DeadlineExceeded(
            f"it reached a worker {late_s:.1f} s too late; if it was sent just now, the machines' clocks differ"
        )
