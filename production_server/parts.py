"""What both the web parts and the worker parts of a process stand on: where they share one, they share these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from production_server.broker.transport import Transport, create_transport
from production_server.intake.intake import Intake
from production_server.jobs.database import Database
from production_server.models.mirror import Mirror, mirror_of
from production_server.models.registry import Registry
from production_server.serving.known_standings import KnownStandings
from production_server.settings import Settings
from production_server.storage.storage import Storage

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing

MOST_CONNECTIONS = 30
"""To the database, of one process: a PostgreSQL has 100 for all, unless somebody changes that."""


@dataclass(frozen=True, slots=True)
class SharedParts:
    """All are safe to share between the threads of one process."""

    settings: Settings
    database: Database
    standings: KnownStandings
    mirror: Mirror | None
    """None: the store of models is a folder."""
    registry: Registry
    storage: Storage
    transport: Transport
    intake: Intake
    tracing: Tracing | None

    @classmethod
    def build(
        cls, settings: Settings, transport: Transport | None = None, *, tracing: Tracing | None = None
    ) -> Self:
        """Wire them, by default with the transport that the settings say; opens no connection."""
        transport = transport or create_transport(settings, tracing=tracing)
        # Fewer than there are threads for requests: those that are left answer what needs no database.
        connections = min(MOST_CONNECTIONS, max(2, settings.web_threads * 3 // 4))
        database = Database(settings.resolved_database_url, connections=connections)
        storage = Storage(settings.storage_allow)
        standings = KnownStandings(database)
        return cls(
            settings=settings,
            database=database,
            standings=standings,
            mirror=mirror_of(settings),
            registry=Registry(settings.model_stores, known=standings.now),
            storage=storage,
            transport=transport,
            intake=Intake(settings, database, storage, transport.publisher),
            tracing=tracing,
        )

    def start(self) -> None:
        """Look after what changes beside requests: how versions stand, and which there are."""
        self.standings.start()
        self.registry.start()
        if self.mirror is not None:
            self.mirror.start()

    def stop(self) -> None:
        """Look after it no more."""
        self.standings.close()
        self.registry.close()
        if self.mirror is not None:
            self.mirror.close()

    def close(self) -> None:
        """Publish what is in hand, and close the database's connections, when nobody uses them any more."""
        self.stop()
        self.intake.close()
        self.database.close()
