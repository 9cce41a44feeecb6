"""Flower's side of Celery: the broker, and what production_server/broker/app.py has for control and events."""

from pathlib import Path

from kombu import Queue

broker_url = Path("/run/secrets/broker_url").read_text().strip()
broker_connection_retry_on_startup = True
# Nothing but JSON is read: a pickle in a message would let whoever reaches the broker run code here.
accept_content = ["json"]
task_serializer = "json"
event_serializer = "json"
control_queue_exclusive = True
event_queue_exclusive = True
# Shown even while no worker says what it takes from.
task_default_queue = "celeriac.jobs"
task_queues = [Queue("celeriac.jobs.high"), Queue("celeriac.jobs")]
