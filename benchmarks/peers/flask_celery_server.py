"""The tutorial: a Flask view that waits for `delay().get()`; gunicorn, RabbitMQ, `rpc://`, and one Celery worker.

python -m benchmarks.peers.flask_celery_server starts the worker and becomes gunicorn.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from celery import Celery
from celery.signals import worker_init, worker_process_init
from flask import Flask, request

from benchmarks.peers.given import given, run

GIVEN = given(pool="threads", concurrency=1, web_processes=1, web_threads=32, prefetch=4)
SETTINGS = GIVEN.settings
HERE = "benchmarks.peers.flask_celery_server"

celery = Celery("model", broker=os.environ["BROKER_URL"], backend="rpc://")
celery.conf.update(worker_prefetch_multiplier=SETTINGS["prefetch"], broker_connection_retry_on_startup=True)
app = Flask(__name__)
engine = None


@worker_init.connect
@worker_process_init.connect
def load(**_: object) -> None:
    """Load the model once in each process, not for each task."""
    global engine  # noqa: PLW0603
    engine = GIVEN.session()


@celery.task
def predict(item: list[float]) -> list[float]:
    """What the worker does."""
    assert engine is not None
    output: list[float]
    (output,) = run(engine, np.asarray(item, np.float32).reshape(1, *GIVEN.shape)).tolist()
    return output


@app.post("/predict")
def answer() -> dict[str, list[float]]:
    """What the web process does, in a thread for each request."""
    return {"output": predict.delay(request.get_json()["input"]).get(timeout=20)}


if __name__ == "__main__":
    programs = Path(sys.executable).parent
    worker = [
        "worker",
        "--loglevel=warning",
        f"--pool={SETTINGS['pool']}",
        f"--concurrency={SETTINGS['concurrency']}",
    ]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    subprocess.Popen([programs / "celery", f"--app={HERE}:celery", *worker, *quiet])
    web = [
        "--worker-class=gthread",
        f"--workers={SETTINGS['web_processes']}",
        f"--threads={SETTINGS['web_threads']}",
    ]
    bind = [f"--bind=127.0.0.1:{GIVEN.port}", "--keep-alive=60", f"{HERE}:app"]
    os.execv(programs / "gunicorn", [str(programs / "gunicorn"), *web, *bind])
