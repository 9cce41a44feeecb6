"""What is different from Celery's own worker: it stops at once, and declares no queues for delayed delivery."""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from celery.worker.consumer import Consumer

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
    """Celery's consumer without native delayed delivery: 28 queues that only tasks with an ETA need."""

    Blueprint = _Blueprint


CONSUMER = f"{__name__}:{ChunkConsumer.__name__}"
