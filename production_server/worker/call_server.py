"""Interactive calls over RabbitMQ: a thread for each queue takes a batch, runs it, and answers to whoever sent it.

Threads of their own, beside those for chunks: a call must not wait until a chunk is done.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from celery import Celery
from kombu import Consumer
from kombu.message import Message

from production_server.broker.amqp_connection import body_of, call_queue, post
from production_server.broker.amqp_listener import CONNECT_AGAIN_S, Listener
from production_server.broker.calls import CALL_QUEUES
from production_server.loop import Loop
from production_server.worker.calls import CallProcessor

log = logging.getLogger(__name__)

PREFETCH = 2
"""While one batch is run, the next one is here already; more would wait for this worker while another one is free."""


class CallServer:
    """Answers calls over the broker from `start` to `stop`; one that does not answer is tried again for ever."""

    def __init__(self, app: Celery, processor: CallProcessor) -> None:
        self._processor = processor
        self._listeners = {name: Listener(app, partial(self._consume, name)) for name in CALL_QUEUES}
        self._loops = [
            Loop(f"interactive calls from {name}", listener.step, pause_s=CONNECT_AGAIN_S)
            for name, listener in self._listeners.items()
        ]

    def start(self) -> None:
        """Start the threads."""
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """Answer the batches in hand, give back what was fetched beside them, and end."""
        for loop in self._loops:
            loop.stop()
        for listener in self._listeners.values():
            listener.close()

    def _consume(self, queue: str, channel: Any) -> Consumer:
        answer = partial(self._answer, channel=channel, queue=queue)
        return Consumer(
            channel,
            [call_queue(queue)],
            on_message=answer,
            on_decode_error=_refuse,
            prefetch_count=PREFETCH,
        )

    def _answer(self, message: Message, *, channel: Any, queue: str) -> None:
        is_second_try = bool(message.delivery_info.get("redelivered"))
        if is_second_try:
            # Who had it before may have died of it: it comes no third time. What a process sends right before it dies
            # may never be read, so this waits for the answer to a question that comes after it.
            message.ack()
            channel.queue_declare(queue, passive=True)
        reply_to = message.properties.get("reply_to")
        if reply_to:
            reply = self._processor.answer(body_of(message))
            post(channel, reply, reply_to, correlation_id=message.properties.get("correlation_id", ""))
        if not is_second_try:
            message.ack()


def _refuse(message: Message, error: Exception) -> None:
    """Throw away a message of which not even the bytes can be had: nobody of ours has sent it."""
    log.error("refused a message of calls: %s", error)
    message.ack()
