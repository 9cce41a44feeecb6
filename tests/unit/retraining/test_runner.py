"""A training run comes to its end whatever dies on the way, and does each thing once."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from production_server.access.records import Actor
from production_server.broker.local_queue import LocalQueue
from production_server.errors import Conflict, NotFound
from production_server.intake.imports import ImportIntake, Wish
from production_server.intake.intake import Intake
from production_server.jobs.claim import claim, finish
from production_server.jobs.database import Database
from production_server.jobs.imports import cancel_import, list_imports
from production_server.jobs.leases import FREE
from production_server.jobs.read import every_item, get_job, list_jobs
from production_server.jobs.records import NewItem, NewJob, Success
from production_server.jobs.submit import submit
from production_server.jobs.tables import job, label_set, rollout, training_run
from production_server.labels.decisions import decide
from production_server.labels.records import ItemId, NewDecision
from production_server.models.importing.described import Described
from production_server.models.registry import Registry
from production_server.retraining import runner as module
from production_server.retraining.policies import Policy
from production_server.retraining.publishing import Publishing
from production_server.retraining.runner import Runner
from production_server.retraining.runs import (
    NewRun,
    TrainingRun,
    add_run,
    cancel_run,
    claim_run,
    get_run,
    list_runs,
    resume_run,
)
from production_server.run.opened_serving import promotion_gate
from production_server.serving.known_standings import KnownStandings
from production_server.serving.overview import Overview
from production_server.serving.serving import Serving
from production_server.settings import Settings
from production_server.storage.storage import Storage
from production_server.worker.importer import Importer
from testing.foreign_graphs import FOREIGN_MODELS
from tests.unit.labels.answered import ANNA

IRIS = FOREIGN_MODELS / "iris_pipeline.onnx"
KINDS = ("setosa", "versicolor", "virginica")
SETOSA, VIRGINICA = [5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]
COPY = """
import shutil, sys
print("seen", open(sys.argv[1] + "/labels.csv").read())
shutil.copy(sys.argv[3], sys.argv[2])
"""
ALWAYS_SETOSA = """
import sys, numpy as np, onnx
from onnx import TensorProto as T, helper as h, numpy_helper as n
graph = h.make_graph(
    [h.make_node("Gemm", ["x", "w", "b"], ["scores"]), h.make_node("Softmax", ["scores"], ["probabilities"])],
    "setosa", [h.make_tensor_value_info("x", T.FLOAT, [None, 4])],
    [h.make_tensor_value_info("probabilities", T.FLOAT, [None, 3])],
    [n.from_array(np.zeros((4, 3), "float32"), "w"), n.from_array(np.array([9, 0, 0], "float32"), "b")])
onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), sys.argv[2])
"""
SERVICE = Actor("training")


class Died(BaseException):
    """What ends a process, and no code of ours can catch."""


def policy(script: str = COPY, **changes: Any) -> Policy:
    train = {"command": [sys.executable, "-c", script, "{data}", "{model}", str(IRIS)]}
    told = {"model": "mine", "train": train, "answer_again": 30, "then": {"to": "stable"}}
    return Policy.model_validate(told | changes)


@dataclass
class Service:
    """All that a run needs, without a network; each runner is a process of its own."""

    database: Database
    settings: Settings
    known: KnownStandings = field(init=False)
    registry: Registry = field(init=False)
    importer: Importer = field(init=False)

    def __post_init__(self) -> None:
        self.known = KnownStandings(self.database)
        self.known.look_again()
        self.registry = Registry(self.settings.model_stores, known=self.known.now, look_again_s=0)
        overview = Overview(self.database, self.registry, self.known)
        self.importer = Importer(self.database, overview, self.settings, Storage(()))

    def runner(self, *policies: Policy) -> Runner:
        storage = Storage(())
        store = self.settings.model_stores[-1]
        serving = Serving(
            self.database, self.registry, self.known, store, promotion_gate(self.settings), None
        )
        return Runner(
            database=self.database,
            registry=self.registry,
            intake=Intake(self.settings, self.database, storage, LocalQueue()),
            publishing=Publishing(self.database, ImportIntake(self.settings, self.database), serving.promote),
            storage=storage,
            settings=self.settings,
            policies={each.model: each for each in policies},
        )

    def bury(self) -> None:
        """Find whoever held a run lost, as reconcilers do."""
        with self.database.write() as connection:
            connection.execute(update(training_run).values(FREE))

    def go_on(self, run: TrainingRun, *, until: str = "", steps: int = 200) -> TrainingRun:
        """Have one new process after the other take a step, and a worker beside them."""
        for _ in range(steps):
            found = get_run(self.database, run.id)
            if found.is_over or found.step == until:
                return found
            runner = self.runner()
            runner._ends = _NeverWaits()
            try:
                runner.step()
            except Died:
                self.bury()
            self.importer.look()
            self.registry.resolve("mine")
            self.work()
        raise AssertionError(get_run(self.database, run.id))

    def work(self) -> None:
        """Answer what waits, as a worker does, each item with `virginica`."""
        for each in list_jobs(self.database, limit=9, whose=None, model="mine"):
            held = claim(self.database, each.id, 0, each.total, lease_s=60, max_attempts=3)
            if held is not None:
                finish(self.database, held, [_answer(index, "virginica") for index in held.indexes])


class _NeverWaits(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(0)


@pytest.fixture
def service(sqlite_database: Database, tmp_path: Path) -> Service:
    settings = Settings(
        state_dir=tmp_path, model_store=tmp_path / "store", gate_latency=1000, gate_memory=1000, chunk_items=8
    )
    service = Service(sqlite_database, settings)
    _import(service)
    return service


@pytest.fixture
def labelled(service: Service) -> list[int]:
    """Sixty answered items, of which forty have a label; half of the answers are wrong."""
    rows = [SETOSA if n % 2 else VIRGINICA for n in range(60)]
    payloads = [json.dumps([*row[:3], row[3] + n / 1000]).encode() for n, row in enumerate(rows)]
    items = [NewItem(payload, f"row {n}") for n, payload in enumerate(payloads)]
    new = NewJob(model="mine", version="1", items=items, source="http", client="somebody")
    accepted = submit(service.database, new)[0]
    held = claim(service.database, accepted.id, 0, 60, lease_s=60, max_attempts=3)
    assert held is not None
    finish(service.database, held, [_answer(n, "setosa") for n in range(60)])
    for n in range(40):
        said = NewDecision(
            model="mine",
            item=ItemId(accepted.id, n),
            kind="label",
            answer="setosa" if n % 2 else "virginica",
            choices=KINDS,
        )
        decide(service.database, said, by=ANNA)
    return list(range(40))


def begin(service: Service, wanted: Policy | None = None) -> TrainingRun:
    new = NewRun(policy=wanted or policy(), client="somebody", why="hand", actor=SERVICE.to_json())
    return add_run(service.database, new)


@pytest.mark.usefixtures("labelled")
def test_a_run_makes_a_version_that_serves_and_tells_what_it_changed(service: Service) -> None:
    run = service.go_on(begin(service))

    assert (run.state, run.step, run.error_message, run.version) == ("succeeded", "done", None, "2")
    assert run.labels == 40 and 0 < run.held_out < 20
    assert run.log.count("virginica") + run.log.count("setosa") == 40 - run.held_out
    assert run.change == {"answered": 60, "changed": 60, "agree_now": 20, "agree_no_more": 20}
    service.known.look_again()
    assert service.registry.resolve("mine").manifest.version == "2"
    again = get_job(service.database, run.answer_job, whose=None)  # type: ignore[arg-type]
    assert (again.version, again.total, again.source, again.client) == ("2", 60, "training", "somebody")
    expected = [item.expected for item in every_item(service.database, again.id)]
    assert expected.count(None) == 20
    assert not list((service.settings.state_dir / "trainings").iterdir())


@pytest.mark.usefixtures("labelled")
@pytest.mark.parametrize("nth", range(7))
def test_whoever_dies_before_he_can_note_what_he_did_is_gone_on_with(
    service: Service, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    run = begin(service)
    notes = {"made": 0}
    for name in ("note", "end_run"):
        monkeypatch.setattr(module, name, _dying(getattr(module, name), notes, nth))

    over = service.go_on(run)

    assert notes["made"] > nth, "it died"
    assert (over.state, over.version, over.error_message) == ("succeeded", "2", None)
    assert over.change is not None and over.change["answered"] == 60
    sent, _first = list_imports(service.database, whose=None, limit=9)
    assert sent.file == f"training-{run.id}.onnx"
    with service.database.read() as connection:
        for table, most in ((label_set, 1), (rollout, 1)):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() <= most
        of_training = select(func.count()).select_from(job).where(job.c.source == "training")
        assert connection.execute(of_training).scalar_one() == 1


def _dying(does: Callable[..., Any], notes: dict[str, int], nth: int) -> Callable[..., Any]:
    def noted(*arguments: Any, **values: Any) -> Any:
        notes["made"] += 1
        if notes["made"] == nth + 1:
            raise Died
        return does(*arguments, **values)

    return noted


@pytest.mark.usefixtures("labelled")
def test_a_version_that_errs_on_what_was_held_out_is_refused(service: Service) -> None:
    train = {
        "command": [sys.executable, "-c", ALWAYS_SETOSA, "{data}", "{model}"],
        "describe": {"labels": KINDS},
    }

    run = service.go_on(begin(service, policy(train=train)))

    assert (run.state, run.step, run.error_code) == ("refused", "import", "gate_closed"), run.error_message
    assert service.registry.resolve("mine").manifest.version == "1"
    assert not list((service.settings.state_dir / "trainings").iterdir())
    with pytest.raises(Conflict, match="refused"):
        resume_run(service.database, run.id)


@pytest.mark.usefixtures("labelled")
@pytest.mark.parametrize("to", ["stable", "nothing"])
def test_without_a_label_that_is_held_out_nothing_is_rolled_out(
    service: Service, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    monkeypatch.setattr("production_server.retraining.dataset.is_held_out", lambda _digest: False)

    run = service.go_on(begin(service, policy(then={"to": to})))

    if to == "nothing":
        assert (run.state, run.held_out, run.version) == ("succeeded", 0, "2")
    else:
        assert (run.state, run.step, run.error_code) == ("refused", "train", "nothing_held_out")
        assert "none of the 40 labels" in str(run.error_message)


@pytest.mark.usefixtures("labelled")
def test_the_program_for_images_trains_no_model_of_rows(service: Service) -> None:
    run = service.go_on(begin(service, policy(train={"images": {}})))

    assert (run.state, run.error_code) == ("failed", "training_over")
    assert "mine is a model of tabular_classification: what trains it has to be a command" in str(
        run.error_message
    )


@pytest.mark.usefixtures("labelled")
def test_a_run_whose_import_failed_sends_its_file_again(service: Service) -> None:
    run = service.go_on(begin(service), until="import")
    service.runner().step()
    sent = get_run(service.database, run.id).import_id
    assert sent is not None
    cancel_import(service.database, sent, whose=None)
    assert service.go_on(run).state == "failed"

    resume_run(service.database, run.id)

    over = service.go_on(run)
    assert (over.state, over.version) == ("succeeded", "2")
    assert over.import_id != sent


@pytest.mark.usefixtures("labelled")
def test_a_file_that_has_stayed_on_another_machine_is_made_again(service: Service) -> None:
    run = service.go_on(begin(service), until="import")
    (made,) = service.settings.state_dir.glob("trainings/*/*.onnx")
    made.unlink()

    assert service.go_on(run).state == "succeeded"


@pytest.mark.usefixtures("labelled")
def test_a_training_that_fails_tells_why_and_goes_on_when_it_is_told_to(service: Service) -> None:
    once = (
        "import pathlib, sys, shutil\n"
        "mark = pathlib.Path('tried')\n"
        "if not mark.exists():\n"
        "    mark.touch(); print('out of luck'); sys.exit(3)\n"
        "shutil.copy(sys.argv[3], sys.argv[2])"
    )

    failed = service.go_on(begin(service, policy(once)))

    assert (failed.state, failed.step) == ("failed", "train")
    assert failed.error_message == "the training ended with 3"
    assert failed.log == "out of luck\n"
    resume_run(service.database, failed.id)
    assert service.go_on(failed).state == "succeeded"


@pytest.mark.usefixtures("labelled")
@pytest.mark.parametrize("step", ["train", "import", "roll_out", "answer"])
def test_a_cancelled_run_does_not_go_on(service: Service, step: str) -> None:
    run = service.go_on(begin(service), until=step)

    cancelled = cancel_run(service.database, run.id)

    assert (cancelled.state, cancelled.step) == ("cancelled", step)
    assert not service.runner().step()
    begin(service)
    with pytest.raises(Conflict):
        resume_run(service.database, run.id)


def test_what_nobody_has_labelled_is_not_trained(service: Service) -> None:
    run = service.go_on(begin(service))

    assert (run.state, run.error_code) == ("failed", "invalid_input")


def test_labels_that_are_deleted_meanwhile_are_left_out(service: Service, labelled: list[int]) -> None:
    run = service.go_on(begin(service), until="train")
    with service.database.write() as connection:
        connection.execute(job.delete())

    over = service.go_on(run)

    assert labelled and (over.state, over.error_code) == ("failed", "training_over")
    assert service.registry.resolve("mine").manifest.version == "1"


@pytest.mark.usefixtures("labelled")
def test_one_process_at_a_time_trains_and_one_run_of_a_model_is_open(service: Service) -> None:
    begin(service)
    with pytest.raises(Conflict) as open_already:
        begin(service)
    begin(service, policy(model="other"))

    assert open_already.value.code == "training_open"
    assert claim_run(service.database, lease_s=60) is not None
    assert claim_run(service.database, lease_s=60) is None


@pytest.mark.usefixtures("labelled")
def test_a_policy_begins_a_run_by_itself_and_not_twice(service: Service) -> None:
    wanted = policy(begin={"after_labels": 40, "quiet_s": 0})
    runner = service.runner(wanted)

    runner.step()
    runner.step()

    (run,) = list_runs(service.database, limit=9)
    assert (run.model, run.why, run.label_mark > 0) == ("mine", "labels", True)
    service.go_on(run)
    service.runner(wanted).step()
    assert len(list_runs(service.database, limit=9)) == 1


def _answer(index: int, label: str) -> Success:
    return Success(index=index, label=label, score=0.9, output=(0.9, 0.05, 0.05), ms=1.0)


def _import(service: Service) -> None:
    with service.runner().publishing.imports.incoming() as files:
        file = files.open("model", "iris.onnx", field="file")
        file.write(IRIS.read_bytes())
        file.close()
        service.runner().publishing.imports.accept(
            Wish(model="mine", described=Described()), files, by=SERVICE
        )
    assert service.importer.look()
    service.registry.resolve("mine")


def test_a_run_that_there_is_not_is_named(sqlite_database: Database) -> None:
    with pytest.raises(NotFound) as caught:
        get_run(sqlite_database, UUID(int=1))

    assert caught.value.code == "training_not_found"
