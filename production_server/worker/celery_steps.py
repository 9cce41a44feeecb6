"""What is different from Celery's own worker.

It stops at once, declares no queues for delayed delivery, and refuses what is no chunk before Celery reads it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import bootsteps
from celery.worker.consumer import Consumer
from kombu.message import Message

from production_server.broker.amqp_connection import BROKEN
from production_server.broker.messages import MAX_BODY_BYTES, check_message

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25


class PromptStop(bootsteps.StartStopStep):
    """Wakes the event loop now and then: it looks for a stop only between events, which may be 10 s apart."""

    requires = ("celery.worker.components:Hub",)

    def start(self, parent: Any) -> None:
        """Runs when the worker starts; on Windows Celery has no event loop."""
        if parent.hub is not None:
            parent.hub.call_repeatedly(LOOK_EVERY_S, lambda: None)


class _Blueprint(Consumer.Blueprint):  # type: ignore[valid-type,misc]  # a class attribute that is a class
    default_steps = tuple(
        step for step in Consumer.Blueprint.default_steps if "delayed_delivery" not in str(step)
    )


class ChunkConsumer(Consumer):
    """Celery's consumer of nothing but chunks.

    It goes without native delayed delivery: 28 queues that only tasks with an ETA need.
    """

    Blueprint = _Blueprint

    def create_task_handler(self, *args: Any, **more: Any) -> Callable[[Message], None]:
        """What is done with a message that came: one that is no chunk goes to the dead letters."""
        handle = super().create_task_handler(*args, **more)

        def handle_chunk(message: Message) -> None:
            try:
                _check(message)
            except Exception as exc:  # noqa: BLE001 # whatever a message holds, the worker lives on
                _refuse(message, exc)
            else:
                handle(message)

        return handle_chunk

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Called for a message of which not even the bytes can be had."""
        _refuse(message, exc)


def _refuse(message: Message, error: Exception) -> None:
    log.error("refused a message of queue %s: %s", message.delivery_info.get("routing_key"), error)
    message.reject_log_error(log, BROKEN)


def _check(message: Message) -> None:
    """Raise what is wrong with a message."""
    size = len(message.body or b"")
    if size > MAX_BODY_BYTES:
        raise ValueError(f"too large for a chunk: {size} bytes")
    check_message(message.headers, message.decode())


CONSUMER = f"{__name__}:{ChunkConsumer.__name__}"
