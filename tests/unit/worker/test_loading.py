"""A worker loads what channels are to name, tells so, and moves them on."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server.access.records import Actor
from production_server.inference import Engine
from production_server.jobs.database import Database
from production_server.jobs.workers import alive_workers, beat
from production_server.learning.promotion import PromotionGate
from production_server.learning.report import CheckName
from production_server.models.registry import Registry
from production_server.serving.known_standings import KnownStandings
from production_server.serving.promoting import Wanted
from production_server.serving.serving import Serving
from production_server.settings import Settings
from production_server.worker.loading import Loading
from production_server.worker.observing import Observing
from production_server.worker.replaying import Replaying
from testing.small_models import write_table_model

ANNA = Actor("anna")


class Worker:
    """One that does nothing but load."""

    def __init__(self, database: Database, store: Path) -> None:
        self.database, self.told = database, 0
        known = KnownStandings(database)
        known.look_again()
        registry = Registry([store], known=known.now, look_again_s=0)
        self.serving = Serving(database, registry, known, store, PromotionGate(margin=0.05))
        self.engine = Engine(registry, threads=1)
        self.observing = Observing(database, registry, known)
        self.loading = Loading(
            self.engine,
            known,
            self.serving.rollouts,
            tell=self.tell,
            replaying=Replaying(self.engine, Settings(), database, registry),
            observing=self.observing,
            canaries=self.serving.canaries,
        )

    def tell(self) -> None:
        self.told += 1
        warm = ["/".join(key) for key in self.engine.loaded]
        beat(self.database, "w1", warm=warm, items_done=0, failing=self.engine.failing)

    def named(self) -> str:
        self.serving.known.look_again()
        return self.serving.registry.resolve("table").key[1]

    def look(self) -> None:
        self.serving.known.look_again()
        self.loading.look()


@pytest.fixture
def worker(sqlite_database: Database, tmp_path: Path) -> Worker:
    write_table_model(tmp_path)
    worker = Worker(sqlite_database, tmp_path)
    worker.look()
    return worker


def test_what_is_promoted_is_loaded_told_and_serves_then(worker: Worker, tmp_path: Path) -> None:
    worker.serving.promote(Wanted(model="table", version="1"), by=ANNA)
    worker.look()
    write_table_model(tmp_path, version="2")
    worker.serving.promote(Wanted(model="table", version="2"), by=ANNA)
    before = worker.named()

    worker.look()

    assert (before, worker.named()) == ("1", "2")
    assert alive_workers(worker.database)[0].warm == ("table/1", "table/2")


def test_what_is_promoted_and_does_not_load_is_refused(worker: Worker, tmp_path: Path) -> None:
    worker.serving.promote(Wanted(model="table", version="1"), by=ANNA)
    worker.look()
    write_table_model(
        tmp_path, version="2", outputs=[{"name": "nothing", "shape": [None, 2], "dtype": "float32"}]
    )
    allowed = (CheckName.SIGNATURE,)
    begun = worker.serving.promote(Wanted(model="table", version="2", allowed=allowed), by=ANNA).rollout

    worker.look()

    assert begun is not None
    found = worker.serving.overview.rollout("table", begun.id)
    assert (found.state, worker.named()) == ("refused", "1")
    assert "w1 cannot load it" in found.told and "outputs probabilities" in found.told
    worker.look()
    assert alive_workers(worker.database)[0].failing == {}


def test_where_nobody_promotes_a_new_version_serves_when_it_is_loaded_and_a_broken_one_never_does(
    worker: Worker, tmp_path: Path
) -> None:
    write_table_model(tmp_path, version="2")
    before = worker.named()
    worker.look()
    loaded = worker.named()
    broken = write_table_model(tmp_path, version="3")
    (broken / "model.onnx").write_bytes(b"")
    worker.look()

    assert (before, loaded, worker.named()) == ("1", "2", "2")
    assert list(alive_workers(worker.database)[0].failing) == ["table/3"]


def test_nothing_is_told_where_nothing_has_changed(worker: Worker) -> None:
    told = worker.told

    worker.look()

    assert worker.told == told
