"""/livez, /readyz and /metrics: whether this process is up, whether the service can work, and how it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from flask import Blueprint, Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from production_server import descriptors
from production_server.errors import Unavailable
from production_server.jobs.records import WorkerInfo
from production_server.jobs.stream_members import members
from production_server.jobs.workers import alive_workers
from production_server.loop import restart_dead
from production_server.web.api.operations import operation
from production_server.web.api.requests import to_response
from production_server.web.api.schemas import Check, HealthBody
from production_server.web.edge.parts import WebParts, current_parts

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
@operation("Is this process up?", responses={200: HealthBody})
def livez() -> Response:
    """Answers as long as the process does."""
    return to_response(HealthBody(status="ok"))


@blueprint.get("/readyz")
@operation("Can the service do its work?", responses={200: HealthBody, 503: HealthBody})
def readyz() -> Response:
    """200 if the database, the broker and at least one warm worker answer, and files can be opened.

    503 says what is missing. A version that a channel names and that does not load is told, and is not 503: the others
    serve on. Nor is a store of models that does not answer, as what this machine has serves on, or a stream's broker.
    Where Keras runs a model, it says whether a worker has loaded it.
    """
    parts = current_parts()
    checks = {
        "database": _check(lambda: _check_database(parts)),
        "broker": _check(lambda: _check_broker(parts)),
    }
    checks["workers"] = _check(lambda: _check_workers(parts))
    checks["threads"] = _check(_check_threads)
    checks["files"] = _check(_check_files)
    is_ready = all(check.ok for check in checks.values())
    checks["models"] = _check(lambda: _check_models(parts))
    if streams := _check_streams(parts):
        checks["streams"] = streams
    body = HealthBody(status="ok" if is_ready else "unavailable", checks=checks)
    return to_response(body, 200 if is_ready else 503)


@blueprint.get("/metrics")
@operation("Metrics for Prometheus", responses={200: "text/plain"})
def metrics() -> Response:
    """What the web processes have answered, and how the service stands, in Prometheus' text format."""
    return Response(current_parts().metrics.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _check(ask: Callable[[], str]) -> Check:
    try:
        return Check(ok=True, detail=ask())
    except Unavailable as exc:
        return Check(ok=False, detail=str(exc))


def _check_database(parts: WebParts) -> str:
    parts.database.check()
    return "answers"


def _check_broker(parts: WebParts) -> str:
    return f"{parts.intake.waiting_messages()} messages wait"


def _check_threads() -> str:
    if dead := restart_dead():
        raise Unavailable(f"had ended, and were started again: {', '.join(dead)}")
    return "all run"


def _check_files() -> str:
    if descriptors.are_short():
        raise Unavailable("the web process has too many files and connections open: it takes no more clients")
    return "may be opened"


def _check_models(parts: WebParts) -> str:
    # Where and why, nobody is told without a key: the versions of the API and their page say it. And instances look
    # for the names of their workers in this answer, to see which are warm.
    in_vain = Counter(version for worker in alive_workers(parts.database) for version in worker.failing)
    failing = [f"{version} does not load in {count} of the workers" for version, count in in_vain.items()]
    if parts.mirror is not None:
        failing += parts.mirror.faults()
    parts.standings.look_if_unknown()
    registry = parts.registry
    for name in registry.model_names():
        here = {version.key[1] for version in registry.versions(name)}
        channels = registry.channels(name).items()
        failing += [
            f"{channel} of {name} names {each}, which is not here"
            for channel, each in channels
            if each not in here
        ]
    if failing:
        raise Unavailable("; ".join(failing))
    return "what channels name loads, as far as workers have tried"


def _check_streams(parts: WebParts) -> Check | None:
    """Whether what streams are read from answers; None: none is read. Which, and why, /api/streams says."""
    try:
        read = members(parts.database)
    except Unavailable:
        return None  # The check of the database says so.
    if not read:
        return None
    faulty = {member.stream for member in read if member.told["fault"]}
    streams, processes = ({getattr(member, of) for member in read} for of in ("stream", "process"))
    told = f"streams that are read: {len(streams)}, by processes: {len(processes)}"
    return Check(ok=not faulty, detail=f"{told}; with a fault: {len(faulty)}" if faulty else told)


def _check_workers(parts: WebParts) -> str:
    warm = [worker for worker in alive_workers(parts.database) if worker.warm]
    if not warm:
        raise Unavailable("no warm worker is alive")
    told = f"{len(warm)} alive: " + ", ".join(worker.name for worker in warm)
    return told + _needing_tensorflow(parts, warm)


def _needing_tensorflow(parts: WebParts, warm: Sequence[WorkerInfo]) -> str:
    """How many models Keras runs, and whether workers have them; names are for those who have a key."""
    versions = [each for each in parts.registry.stable_versions() if each.manifest.runner == "keras"]
    if not versions:
        return ""
    loaded = {name for worker in warm for name in worker.warm}
    count = sum("/".join(each.key) in loaded for each in versions)
    return f"; {count} of the {len(versions)} models that Keras runs (it needs TensorFlow) loaded by workers"
