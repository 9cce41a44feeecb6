"""The worker's side of interactive calls: what makes the reply to a batch, whatever brings it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from production_server.broker.calls import (
    MAX_REPLY_BYTES,
    Reply,
    Request,
    count_inputs,
    decode_request,
    destination_of,
    encode_reply,
)
from production_server.broker.links import Body
from production_server.errors import MISTAKE, CeleriacError, DeadlineExceeded, TooLarge
from production_server.inference import Engine, Outputs
from production_server.models.decoding import decoding_until
from production_server.settings import Settings
from production_server.worker.quick_versions import MOST_BYTES, QuickVersions
from production_server.worker.throttle import Throttle

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing
    from production_server.worker.metrics import WorkerMetrics
    from production_server.worker.observing import Observing

log = logging.getLogger(__name__)


class CallProcessor:
    """Runs batches of calls; safe to share between threads."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        *,
        name: str,
        throttle: Throttle,
        observing: Observing | None = None,
        metrics: WorkerMetrics | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._name = name
        self._throttle = throttle
        self._observing = observing
        self._metrics = metrics
        self._tracing = tracing
        self._quick = QuickVersions()

    def answer(self, body: Body) -> bytes:
        """The reply to a batch, whatever it is."""
        try:
            request = decode_request(body)
        except ValueError as exc:
            log.error("refused a message of calls: %s", exc)
            return encode_reply(Reply(None, {}, CeleriacError(MISTAKE), 0, self._name))
        return self._answer(request, len(body), is_here=False)

    def answer_if_quick(self, body: Body) -> bytes | None:
        """The reply to a batch of numbers that takes less than to hand it to another thread; None: it may not."""
        if len(body) > MOST_BYTES:
            return None
        try:
            request = decode_request(body)
        except ValueError:
            return None
        if not self._quick.has(request, len(body)) or not self._engine.has_loaded(
            request.model, request.version
        ):
            return None
        return self._answer(request, len(body), is_here=True)

    def _answer(self, request: Request, size_bytes: int, *, is_here: bool) -> bytes:
        self._throttle.call_came()
        began_s, began_processor_s = time.perf_counter(), time.thread_time()
        reply = self._encoded(self._run(request))
        self._quick.took(
            request,
            size_bytes,
            processor_s=time.thread_time() - began_processor_s,
            clock_s=time.perf_counter() - began_s,
            is_here=is_here,
        )
        return reply

    def _encoded(self, reply: Reply) -> bytes:
        body = encode_reply(reply)
        if len(body) <= MAX_REPLY_BYTES:
            return body
        too_large = TooLarge(f"the answer takes {len(body)} bytes, at most {MAX_REPLY_BYTES}: ask in parts")
        return encode_reply(Reply(None, {}, too_large, 0, self._name))

    def _run(self, request: Request) -> Reply:
        if self._tracing is None:
            return self._run_request(request)
        about = {"celeriac.model": request.model, "celeriac.version": request.version}
        with self._tracing.processing(destination_of(request.inputs), request.trace, about):
            return self._run_request(request)

    def _run_request(self, request: Request) -> Reply:
        began = time.perf_counter()
        outputs: Outputs | None = None
        error: CeleriacError | None = None
        try:
            _check_time(request)
            with decoding_until(time.monotonic() + request.until - time.time()):
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
        answered = outputs if error is None else error
        if self._observing is not None and answered is not None:
            items = count_inputs(request.inputs)
            self._observing.saw_calls(request.model, request.version, answered, items=items, seconds=seconds)
        if self._metrics is not None:
            self._metrics.batch_ended(
                request.model, request.version, outcome, count_inputs(request.inputs), stages
            )
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
