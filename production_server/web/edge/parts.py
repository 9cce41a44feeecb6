"""What a web process consists of, handed to the views through the Flask app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flask import current_app

from production_server.access.allowances import Most
from production_server.access.brought_keys import read_brought_keys
from production_server.access.known_keys import KnownKeys
from production_server.access.limits import Limits
from production_server.access.rate_windows import RateWindows
from production_server.access.recorder import Recorder
from production_server.broker.caller import Caller
from production_server.errors import NotFound
from production_server.intake.imports import ImportIntake
from production_server.intake.intake import Intake
from production_server.jobs.database import Database
from production_server.jobs.records import Job
from production_server.jobs.search import Found
from production_server.labels.pool import Pools
from production_server.labels.questions import Questions
from production_server.learning.promotion import PromotionGate
from production_server.models.mirror import Mirror
from production_server.models.registry import Registry
from production_server.models.remote_store import remote_store_of
from production_server.models.store import ModelVersion
from production_server.models.tasks.task import Task
from production_server.parts import SharedParts
from production_server.retraining.policies import Policy, policies_in
from production_server.serving.known_standings import KnownStandings
from production_server.serving.overview import Overview
from production_server.serving.serving import Serving
from production_server.settings import Settings
from production_server.sources.notifications import Notifications, open_rules
from production_server.storage.storage import Storage
from production_server.web.edge.checks import BoundedChecks
from production_server.web.edge.door import Door, Entrance, KeyDoor
from production_server.web.edge.fetches import BoundedFetches
from production_server.web.edge.proxies import Proxies
from production_server.web.edge.sites import Sites, sites_of
from production_server.web.edge.waits import BoundedWaits
from production_server.web.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing

EXTENSION = "celeriac"

MAX_STREAMS = 1000
"""Of events, open at once in a web process; what is more ends after what there is, and comes again."""


@dataclass(frozen=True, slots=True)
class WebParts:
    """The use cases' partners; all are safe to share between the threads of one process."""

    settings: Settings
    database: Database
    standings: KnownStandings
    mirror: Mirror | None
    registry: Registry
    intake: Intake
    imports: ImportIntake
    questions: Questions
    caller: Caller
    metrics: Metrics
    storage: Storage
    notifications: Notifications
    policies: Mapping[str, Policy]
    """Of models that are trained again."""
    waits: BoundedWaits
    """For requests that keep a thread while they wait."""
    streams: BoundedWaits
    """For those whose answers go on: they keep none."""
    fetches: BoundedFetches
    checks: BoundedChecks
    sites: Sites
    proxies: Proxies
    keys: KnownKeys
    limits: Limits
    door: Door
    recorder: Recorder
    tracing: Tracing | None

    @property
    def entrance(self) -> Entrance:
        """What every request passes."""
        return Entrance(self.sites, self.door, self.limits, self.proxies, self.recorder, self.keys.still_hold)

    @property
    def overview(self) -> Overview:
        """What shows how versions stand."""
        return self.serving.overview

    @property
    def serving(self) -> Serving:
        """What changes which versions serve."""
        store = self.settings.model_stores[-1]
        remote = remote_store_of(self.settings)
        gate = PromotionGate(margin=self.settings.gate_margin)
        return Serving(self.database, self.registry, self.standings, store, gate, remote)

    def let_nobody_wait(self) -> None:
        """The server stops: requests that wait are answered with what there is, streams end."""
        self.waits.close()
        self.streams.close()

    def version_of(self, asked: Job | Found) -> ModelVersion | None:
        """The version of a job or a result; None: it was taken away, which leaves them readable."""
        try:
            return self.registry.version(asked.model, asked.version)
        except NotFound:
            return None

    def task_of(self, asked: Job | Found) -> Task:
        """What tells the results of a job's version, whether that is still there or not."""
        return self.registry.task_of(asked.model, asked.version)


def build_parts(
    settings: Settings,
    shared: SharedParts | None = None,
    *,
    metrics_folder: Path | None = None,
    must_have_key: bool = False,
) -> WebParts:
    """Wire the parts of a web process; opens no connection.

    Raises:
        SettingsError: EVENTS_FILE holds rules that cannot be used, LEARNING_FILE policies, API_KEYS keys that are none.

    `shared` is what an embedded worker has in its hands, too.
    `metrics_folder` is the one of Prometheus' client for several processes; None: this process counts for itself.
    `must_have_key`: nobody is let in without a key, even as long as there is none.
    """
    shared = shared or SharedParts.build(settings)
    caller = Caller(
        shared.transport.link,
        max_batches=settings.call_batches,
        max_items=settings.batch_items,
        max_waiting=settings.max_waiting_items,
        tracing=shared.tracing,
    )
    keys = KnownKeys(shared.database, read_brought_keys(settings.api_keys))
    metrics = Metrics(shared.database, shared.transport.publisher, caller, folder=metrics_folder)
    limits = Limits(RateWindows(shared.database), most_of(settings), on_refusal=metrics.request_limited)
    return WebParts(
        settings=settings,
        database=shared.database,
        standings=shared.standings,
        mirror=shared.mirror,
        registry=shared.registry,
        intake=shared.intake,
        imports=ImportIntake(settings, shared.database),
        questions=Questions(
            shared.database, shared.registry, settings.max_image_pixels, Pools(shared.database)
        ),
        caller=caller,
        metrics=metrics,
        storage=shared.storage,
        policies=policies_in(settings.learning_file),
        notifications=Notifications(open_rules(settings, shared.registry), shared.registry, shared.intake),
        waits=BoundedWaits(settings.web_threads // 2),
        streams=BoundedWaits(MAX_STREAMS),
        fetches=BoundedFetches(settings.web_threads // 2),
        checks=BoundedChecks(settings.web_threads // 2),
        sites=sites_of(settings),
        proxies=Proxies(settings.proxies),
        keys=keys,
        limits=limits,
        door=KeyDoor(keys, must_have_key=must_have_key),
        recorder=Recorder(shared.database, keys, keep_days=settings.audit_days),
        tracing=shared.tracing,
    )


def most_of(settings: Settings) -> Most:
    """What these settings let each client have."""
    return Most(
        requests=settings.limit_requests,
        items=settings.limit_items,
        bytes=settings.limit_bytes,
        calls=settings.limit_calls,
        refusals=settings.limit_refusals,
    )


def current_parts() -> WebParts:
    """The parts of the app that handles the current request."""
    parts: WebParts = current_app.extensions[EXTENSION]
    return parts
