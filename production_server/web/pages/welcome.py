"""/: what this is, which models it has, how they are, and what was asked of late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import render_template

from production_server.jobs.read import list_jobs
from production_server.jobs.records import WorkerInfo
from production_server.jobs.workers import alive_workers
from production_server.models.manifest import Manifest, Metric
from production_server.web.parts import current_parts

RECENT_JOBS = 8
HEADLINE_METRICS = 2


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model as the welcome page shows it: its stable version, and how many workers have that loaded."""

    manifest: Manifest
    warm_workers: int

    @property
    def headline(self) -> list[tuple[str, Metric]]:
        return list(self.manifest.metrics.values.items())[:HEADLINE_METRICS]


def show() -> str:
    """The welcome page."""
    parts = current_parts()
    workers = alive_workers(parts.database)
    manifests = [version.manifest for version in parts.registry.stable_versions()]
    return render_template(
        "pages/welcome.html",
        models=[_summary(manifest, workers) for manifest in manifests],
        titles={manifest.name: manifest.title for manifest in manifests},
        workers=workers,
        jobs=list_jobs(parts.database, limit=RECENT_JOBS),
    )


def _summary(manifest: Manifest, workers: Sequence[WorkerInfo]) -> ModelSummary:
    key = f"{manifest.name}/{manifest.version}"
    return ModelSummary(manifest, sum(key in worker.warm for worker in workers))
