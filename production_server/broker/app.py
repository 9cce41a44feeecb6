"""The Celery app, for whoever has a broker."""

from __future__ import annotations

from celery import Celery
from kombu import Queue

from production_server.broker.messages import DEAD_LETTERS, HIGH_QUEUE, NORMAL_QUEUE
from production_server.settings import Settings

CONNECT_TIMEOUT_S = 4
HEARTBEAT_S = 20
"""Whoever has heard nothing of the other side for twice as long connects anew."""
DELIVERY_LIMIT = 20
"""What comes back this often is a dead letter: the reconciler publishes anew what the database still lacks."""
KEPT_DEAD_LETTERS = 1000


def create_celery(settings: Settings) -> Celery:
    """A configured Celery app with no task; opens no connection."""
    app = Celery("celeriac", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        # JSON only: a pickle in a message would let whoever reaches the broker run code in the workers.
        task_serializer="json",
        accept_content=["json"],
        event_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_queues=[_queue(name) for name in (HIGH_QUEUE, NORMAL_QUEUE)],
        task_default_queue=NORMAL_QUEUE,
        task_create_missing_queues=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_soft_shutdown_timeout=settings.drain_s,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # Heartbeats are rows in the database. Control and events are for those who watch, events only while they do.
        worker_enable_remote_control=settings.remote_control == "on",
        control_queue_exclusive=True,
        event_queue_exclusive=True,
        worker_send_task_events=False,
        broker_connection_timeout=CONNECT_TIMEOUT_S,
        broker_heartbeat=HEARTBEAT_S,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"confirm_publish": True},
    )
    return app


def dead_letter_queue() -> Queue:
    """Where the last ones that were refused are kept."""
    arguments = {"x-queue-type": "quorum", "x-max-length": KEPT_DEAD_LETTERS, "x-overflow": "drop-head"}
    return Queue(DEAD_LETTERS, routing_key=DEAD_LETTERS, durable=True, queue_arguments=arguments)


def _queue(name: str) -> Queue:
    # A quorum queue survives the loss of a node and of power: a message is confirmed once it is on disk.
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": DEAD_LETTERS,
    }
    return Queue(name, routing_key=name, durable=True, queue_arguments=arguments)
