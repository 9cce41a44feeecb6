"""What a process's chunks and calls travel by: RabbitMQ and sockets, or memory alone where both are one process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from production_server.broker.links import Link, LocalLink
from production_server.broker.local_queue import LocalQueue
from production_server.broker.publisher import Publisher
from production_server.broker.worker_link import WorkerLink
from production_server.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

    from production_server.tracing.spans import Tracing


@dataclass(frozen=True, slots=True)
class Transport:
    """Opens no connection before it is used; one for each process."""

    publisher: Publisher
    link: Link


def create_transport(settings: Settings, *, tracing: Tracing | None = None) -> Transport:
    """As the settings say; without BROKER_URL a queue and a link that no worker serves yet."""
    if settings.is_embedded:
        return Transport(LocalQueue(tracing=tracing), LocalLink())
    from production_server.broker.app import create_celery

    return over_broker(create_celery(settings), settings, tracing=tracing)


def over_broker(app: Celery, settings: Settings, *, tracing: Tracing | None = None) -> Transport:
    """Chunks by a Celery app's broker; calls go to the workers themselves."""
    # Imported here: Celery takes time and memory, and where there is no broker nobody needs it.
    from production_server.broker.amqp_publisher import AmqpPublisher

    return Transport(AmqpPublisher(app, tracing=tracing), WorkerLink(settings))
