"""/: what this is, which models it has, how they are, and what was asked of late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import render_template

from production_server.jobs.read import list_jobs
from production_server.jobs.records import WorkerInfo
from production_server.jobs.workers import alive_workers
from production_server.learning.promotion import measured_of
from production_server.models.manifest import Manifest, Metric
from production_server.models.store import ModelVersion
from production_server.web.edge.flask_door import whose
from production_server.web.edge.parts import current_parts

RECENT_JOBS = 8
HEADLINE_METRICS = 2


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model as the welcome page shows it: its stable version, and how many workers have that loaded."""

    version: ModelVersion
    warm_workers: int

    @property
    def manifest(self) -> Manifest:
        return self.version.manifest

    @property
    def headline(self) -> list[tuple[str, Metric]]:
        metrics = self.manifest.metrics or measured_of(self.version)
        return list(metrics.values.items())[:HEADLINE_METRICS] if metrics else []


def show() -> str:
    """The welcome page."""
    parts = current_parts()
    workers = alive_workers(parts.database)
    versions = parts.registry.stable_versions()
    names = ["/".join(version.key) for version in versions]
    return render_template(
        "pages/welcome.html",
        models=[_summary(version, workers) for version in versions],
        titles={each.manifest.name: each.manifest.title for each in versions},
        workers=workers,
        loaded={worker.name: sum(name in worker.warm for name in names) for worker in workers},
        jobs=list_jobs(parts.database, whose=whose(), limit=RECENT_JOBS),
    )


def _summary(version: ModelVersion, workers: Sequence[WorkerInfo]) -> ModelSummary:
    key = "/".join(version.key)
    return ModelSummary(version, sum(key in worker.warm for worker in workers))
