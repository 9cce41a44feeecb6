"""Goes on with training runs, one at a time in a service, step by step; what a step has come to is a row.

Whatever is killed is gone on with at its step: a set of labels is made once, a training goes on from its own
checkpoint, an import and a rollout are found by what was noted of them, and what was answered again stays so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from production_server.access.records import Actor
from production_server.errors import MISTAKE, CeleriacError, Conflict, NotFound, Unavailable
from production_server.intake.intake import Intake
from production_server.jobs.again import changed_by, end_again
from production_server.jobs.database import Database
from production_server.jobs.read import get_job
from production_server.labels.sets import LabelSet, get_set, labels_of_set, make_set
from production_server.models.registry import Registry
from production_server.models.tasks.task import Task
from production_server.retraining.answering import choose
from production_server.retraining.commands import LOG_BYTES, Trained, train_by_command
from production_server.retraining.dataset import Dataset, write_dataset
from production_server.retraining.images import Told
from production_server.retraining.own_training import command_of, environment
from production_server.retraining.policies import Policy, why_due
from production_server.retraining.publishing import Publishing
from production_server.retraining.runs import (
    NewRun,
    RunClaim,
    Step,
    TrainingRun,
    add_run,
    claim_run,
    end_run,
    note,
    put_run_back,
    renew_run,
    standing_of,
)
from production_server.retraining.workspace import Workspace
from production_server.settings import Settings
from production_server.storage.storage import Storage
from production_server.work_in_hand import working_on

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
MOST_TRIES = 3
"""A step that so many processes have died of has failed."""
PAGE = 256
"""So many items are added to the job that answers again, whenever fewer wait: other work waits behind twice as many at
most, and not behind all of them."""
AWAY_S = 30.0
GATE_CLOSED = "gate_closed"
SERVICE = Actor("training")


@dataclass(slots=True)
class Runner:
    """Begins runs that policies want, and goes on with them. Several processes may have one."""

    database: Database
    registry: Registry
    intake: Intake
    publishing: Publishing
    storage: Storage
    settings: Settings
    policies: Mapping[str, Policy]
    stopping: threading.Event = field(default_factory=threading.Event)
    _first_read_at: float = field(default_factory=time.time)
    _held: RunClaim | None = None
    _ends: threading.Event = field(default_factory=threading.Event)
    _said: str = ""
    _log: Callable[[], str] = str

    def step(self) -> bool:
        """Do the next step of a run; whether there may be more at once.

        Raises:
            Unavailable: the database does not answer.
        """
        self._begin_what_is_due()
        held = claim_run(self.database, lease_s=self.settings.lease_s)
        if held is None:
            return False
        self._ends.clear()
        self._said = ""
        self._held = held
        try:
            with working_on(job=str(held.run.id)):
                return self._take_step(held)
        finally:
            self._held = None

    def renew_lease(self) -> bool:
        """Keep the run in hand, and tell how far it is; one that was cancelled meanwhile is ended.

        Raises:
            Unavailable: the database does not answer.
        """
        held = self._held
        if held is not None and not renew_run(
            self.database, held, self._said, self._log(), lease_s=self.settings.lease_s
        ):
            self._ends.set()
        return False

    def close(self) -> None:
        """End what is in hand, with which another process goes on."""
        self.stopping.set()
        self._ends.set()

    def _begin_what_is_due(self) -> None:
        for model, policy in self.policies.items():
            standing = standing_of(self.database, model, first_read_at=self._first_read_at)
            why = why_due(policy.begin, standing)
            if why is None:
                continue
            try:
                run = add_run(
                    self.database,
                    NewRun(policy=policy, client=policy.client, why=why, actor=SERVICE.to_json()),
                )
            except Conflict:
                continue  # It is being trained; what is new is learnt by the next run.
            log.info("training run %s of %s begins: %d new labels", run.id, model, standing.new_labels)

    def _take_step(self, held: RunClaim) -> bool:
        run = held.run
        steps: dict[Step, Callable[[RunClaim], None]] = {
            "freeze": self._freeze,
            "train": self._train,
            "import": self._import,
            "roll_out": self._roll_out,
            "answer": self._answer,
        }
        try:
            steps[run.step](held)
        except Unavailable:
            put_run_back(self.database, held)
            raise
        except CeleriacError as exc:
            log.warning("training run %s of %s: %s", run.id, run.model, exc.with_place)
            if exc.is_retryable:
                put_run_back(self.database, held, after_s=AWAY_S)
                return False
            end_run(self.database, held, "failed", error=exc)
        except Exception:
            log.exception("training run %s of %s failed", run.id, run.model)
            end_run(self.database, held, "failed", error=CeleriacError(MISTAKE))
        return True

    def _freeze(self, held: RunClaim) -> None:
        """Keep the labels as they stand."""
        self._set_of(held.run)
        self._go_on(held, step="train")

    def _train(self, held: RunClaim) -> None:
        run, policy = held.run, self._policy(held.run)
        if run.tries >= MOST_TRIES:
            error = _Failed(f"{MOST_TRIES} processes have died while it trained")
            end_run(self.database, held, "failed", error=error)
            return
        self._said = "writing the labels"
        work = self._workspace(run)
        dataset = self._dataset(run, work)
        noted = note(
            self.database, held, labels=dataset.labels, held_out=dataset.held_out_labels, tries=run.tries + 1
        )
        if noted is None:
            return
        if not dataset.held_out_labels and policy.then.to != "nothing":
            end_run(self.database, held, "refused", error=_NothingHeldOut(dataset.labels, policy.then.to))
            return
        self._said = "training"
        trained = self._trained(run, policy, work, dataset)
        if self._ends.is_set():
            # Stopped, or cancelled: nobody has died of it.
            note(self.database, held, tries=run.tries)
            put_run_back(self.database, held)
        elif trained.failure:
            end_run(
                self.database, held, "failed", error=_Failed(trained.failure), log=trained.log[-LOG_BYTES:]
            )
        else:
            self._go_on(held, step="import", log=trained.log[-LOG_BYTES:])

    def _trained(self, run: TrainingRun, policy: Policy, work: Workspace, dataset: Dataset) -> Trained:
        images, bounds, places = policy.train.images, policy.bounds, work.places(dataset)
        if images is None:
            command = policy.train.command
            return train_by_command(command, places, bounds, stopping=self._ends, follow=self._follow)
        said = {each.label for each in labels_of_set(self.database, self._set_of(run))}
        told = Told.of(self.registry.resolve(run.model).manifest, said, images)
        work.told.write_text(told.model_dump_json(), encoding="utf-8")
        command = command_of(self.settings, work.told)
        return train_by_command(
            command, places, bounds, stopping=self._ends, follow=self._follow, environment=environment()
        )

    def _import(self, held: RunClaim) -> None:
        """Have a worker make a version of the file, which has to pass the gate."""
        run, work = held.run, self._workspace(held.run)
        sent = self.publishing.import_of(run, work.model)
        if sent is None and not work.model.is_file():
            # Another machine has trained, and died before it could send its file.
            self._go_on(held, step="train")
            return
        if sent is None:
            sent = self.publishing.send(run, work)
            held = note(self.database, held, import_id=sent.id) or held
        if not sent.is_over:
            self._said = sent.said or "waiting for a worker that makes a version of it"
            self._wait(held)
        elif sent.state == "succeeded" and sent.manifest is not None:
            self._go_on(held, step="roll_out", version=sent.manifest["version"])
        else:
            is_refused = sent.error_code == GATE_CLOSED
            if is_refused:
                work.remove()
            error = _Failed(sent.error_message or f"the import is {sent.state}", code_of=sent.error_code)
            end_run(self.database, held, "refused" if is_refused else "failed", error=error)

    def _roll_out(self, held: RunClaim) -> None:
        run, then = held.run, self._policy(held.run).then
        if then.to == "nothing":
            self._go_on(held, step="answer")
            return
        if run.rollout_id is None:
            noted = note(self.database, held, rollout_id=self.publishing.roll_out(run, then))
            if noted is None:
                return
            held = noted
        found = self.publishing.rollout_of(held.run)
        if found.state == "loading":
            self._said = "waiting for workers to load it"
            self._wait(held)
        elif found.state == "live":
            self._go_on(held, step="answer")
        else:
            end_run(self.database, held, "refused", error=_Failed(found.told or found.state))

    def _answer(self, held: RunClaim) -> None:
        """Have the new version answer stored items, a page at a time, so that other work comes in between."""
        run, policy = held.run, self._policy(held.run)
        if run.answer_job is None:
            noted = choose(self.database, held, self._set_of(run), most=policy.answer_again)
            if noted is None:
                return
            held, run = noted, noted.run
        job_id = UUID(str(run.answer_job))
        job = get_job(self.database, job_id, whose=None)
        wants_more = job.is_growing and job.total - job.done < PAGE
        if wants_more and not self.intake.add_again(run.id, job_id, most=PAGE):
            end_again(self.database, job_id)
        if job.is_over:
            changed = changed_by(self.database, run.id, job_id)
            log.info("training run %s of %s: %s", run.id, run.model, changed)
            self._workspace(run).remove()
            end_run(self.database, held, "succeeded", step="done", change=changed.to_json())
            return
        self._said = f"answering again: {job.done} done"
        self._wait(held, seconds=0.05)

    def _go_on(self, held: RunClaim, **values: object) -> None:
        noted = note(self.database, held, **values)
        if noted is not None:
            put_run_back(self.database, noted)

    def _wait(self, held: RunClaim, *, seconds: float = LOOK_EVERY_S) -> None:
        self._ends.wait(seconds)
        renew_run(self.database, held, self._said, held.run.log, lease_s=self.settings.lease_s)
        put_run_back(self.database, held)

    def _policy(self, run: TrainingRun) -> Policy:
        return Policy.model_validate(run.policy)

    def _set_of(self, run: TrainingRun) -> LabelSet:
        try:
            return get_set(self.database, run.set_name, whose=None)
        except NotFound:
            return make_set(self.database, run.set_name, run.model, whose=None, client=run.client)

    def _task_of(self, model: str) -> Task:
        return self.registry.resolve(model).task

    def _workspace(self, run: TrainingRun) -> Workspace:
        return Workspace.of(run, self.settings.state_dir)

    def _dataset(self, run: TrainingRun, work: Workspace) -> Dataset:
        return write_dataset(
            self.database,
            self.storage,
            self._set_of(run),
            self._task_of(run.model),
            work.labels,
            max_bytes=self.settings.max_object_bytes,
        )

    def _follow(self, tail: Callable[[], str]) -> None:
        self._log = tail


class _Failed(CeleriacError):
    """Why a run has not come to its end, as the training or the import said it."""

    code = "training_failed"

    def __init__(self, detail: str, *, code_of: str | None = None) -> None:
        super().__init__(detail)
        if code_of:
            self.code = code_of


class _NothingHeldOut(CeleriacError):
    """Too few labels, so that nothing would say whether the new version is better."""

    code = "nothing_held_out"

    def __init__(self, labels: int, to: str) -> None:
        super().__init__(
            f"none of the {labels} labels is of an input that is kept from training (one input in five is), so that "
            f"nothing would say whether the new version is better, and it cannot become {to}: label more, or have the "
            "policy say `then: {to: nothing}`"
        )
