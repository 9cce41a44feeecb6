"""Goes on with training runs, one at a time in a service, step by step; what a step has come to is a row.

Whatever is killed is gone on with at its step: a set of labels is made once, a training goes on from its own
checkpoint, an import and a rollout are found by what was noted of them, and what was answered again stays so.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from production_server.access.records import Actor
from production_server.errors import MISTAKE, CeleriacError, Conflict, NotFound, Unavailable
from production_server.intake.imports import ImportIntake, Wish
from production_server.intake.intake import Intake
from production_server.jobs.again import changed_by, end_again
from production_server.jobs.database import Database
from production_server.jobs.imports import ModelImport, get_import, list_imports
from production_server.jobs.read import get_job
from production_server.jobs.rollouts import Rollout, get_rollout, list_rollouts
from production_server.labels.sets import LabelSet, get_set, labels_of_set, make_set
from production_server.models.importing.uploads import IncomingFiles, Part
from production_server.models.registry import Registry
from production_server.models.tasks.task import Task
from production_server.retraining.answering import choose
from production_server.retraining.commands import LOG_BYTES, Places, Trained, train_by_command
from production_server.retraining.dataset import LABEL, Dataset, write_dataset
from production_server.retraining.images import Told
from production_server.retraining.own_training import command_of, environment
from production_server.retraining.policies import Policy, Then, why_due
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
from production_server.serving.promoting import Promoted, Wanted
from production_server.settings import Settings
from production_server.storage.storage import Storage
from production_server.work_in_hand import working_on

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
FOLDER = "trainings"
MOST_TRIES = 3
"""A step that so many processes have died of has failed."""
PAGE = 256
"""So many items are added to the job that answers again, whenever fewer wait: other work waits behind twice as many at
most, and not behind all of them."""
AWAY_S = 30.0
GATE_CLOSED = "gate_closed"
_IN_VAIN = ("failed", "cancelled")
"""Imports whose file is sent again: a run that goes on after one has noted none."""
SERVICE = Actor("training")


@dataclass(slots=True)
class Runner:
    """Begins runs that policies want, and goes on with them. Several processes may have one."""

    database: Database
    registry: Registry
    intake: Intake
    imports: ImportIntake
    storage: Storage
    settings: Settings
    promote: Callable[..., Promoted]
    """`Serving.promote`."""
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
        dataset = self._dataset(run)
        places = self._places(run, dataset)
        noted = note(
            self.database, held, labels=dataset.labels, held_out=dataset.held_out_labels, tries=run.tries + 1
        )
        if noted is None:
            return
        if not dataset.held_out_labels and policy.then.to != "nothing":
            end_run(self.database, held, "refused", error=_NothingHeldOut(dataset.labels, policy.then.to))
            return
        self._said = "training"
        trained = self._trained(run, policy, places)
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

    def _trained(self, run: TrainingRun, policy: Policy, places: Places) -> Trained:
        images, bounds = policy.train.images, policy.bounds
        if images is None:
            command = policy.train.command
            return train_by_command(command, places, bounds, stopping=self._ends, follow=self._follow)
        said = {each.label for each in labels_of_set(self.database, self._set_of(run))}
        told = Told.of(self.registry.resolve(run.model).manifest, said, images)
        self._told(run).write_text(told.model_dump_json(), encoding="utf-8")
        command = command_of(self.settings, self._told(run))
        return train_by_command(
            command, places, bounds, stopping=self._ends, follow=self._follow, environment=environment()
        )

    def _import(self, held: RunClaim) -> None:
        """Have a worker make a version of the file, which has to pass the gate."""
        run = held.run
        sent = self._import_of(run)
        if sent is None and not self._model_file(run).is_file():
            # Another machine has trained, and died before it could send its file.
            self._go_on(held, step="train")
            return
        if sent is None:
            sent = self._send(run)
            held = note(self.database, held, import_id=sent.id) or held
        if not sent.is_over:
            self._said = sent.said or "waiting for a worker that makes a version of it"
            self._wait(held)
        elif sent.state == "succeeded" and sent.manifest is not None:
            self._go_on(held, step="roll_out", version=sent.manifest["version"])
        else:
            is_refused = sent.error_code == GATE_CLOSED
            if is_refused:
                self._remove(run)
            error = _Failed(sent.error_message or f"the import is {sent.state}", code_of=sent.error_code)
            end_run(self.database, held, "refused" if is_refused else "failed", error=error)

    def _roll_out(self, held: RunClaim) -> None:
        run, then = held.run, self._policy(held.run).then
        if then.to == "nothing":
            self._go_on(held, step="answer")
            return
        if run.rollout_id is None:
            rollout_id = self._begun_rollout(run) or self._promote(run, then)
            noted = note(self.database, held, rollout_id=rollout_id)
            if noted is None:
                return
            held = noted
        found = self._rollout(held.run)
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
            self._remove(run)
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

    def _dataset(self, run: TrainingRun) -> Dataset:
        return write_dataset(
            self.database,
            self.storage,
            self._set_of(run),
            self._task_of(run.model),
            self._folder(run) / "labels",
            max_bytes=self.settings.max_object_bytes,
        )

    def _places(self, run: TrainingRun, dataset: Dataset) -> Places:
        scratch = self._folder(run) / "scratch"
        scratch.mkdir(exist_ok=True)
        return Places(data=dataset.folder, model=self._model_file(run), scratch=scratch)

    def _folder(self, run: TrainingRun) -> Path:
        folder = self.settings.state_dir.absolute() / FOLDER / str(run.id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _model_file(self, run: TrainingRun) -> Path:
        return self._folder(run) / f"training-{run.id}.{self._policy(run).train.suffix}"

    def _told(self, run: TrainingRun) -> Path:
        return self._folder(run) / "told.json"

    def _remove(self, run: TrainingRun) -> None:
        shutil.rmtree(self._folder(run), ignore_errors=True)

    def _import_of(self, run: TrainingRun) -> ModelImport | None:
        """The import of its file; also one that was sent by a process that died before it could note that."""
        if run.import_id is not None:
            return get_import(self.database, run.import_id, whose=None)
        name = self._model_file(run).name
        latest = list_imports(self.database, whose=None, limit=100)
        return next((each for each in latest if each.file == name and each.state not in _IN_VAIN), None)

    def _send(self, run: TrainingRun) -> ModelImport:
        train, model = self._policy(run).train, self._model_file(run)
        labels = self._folder(run) / "labels"
        samples = [labels / "held_out" / "labels.csv", labels / "held_out.zip"]
        sample = next((each for each in samples if each.is_file()), None)
        is_table = sample is not None and sample.suffix == ".csv"
        described = train.describe
        if train.images is not None:
            described = Told.model_validate_json(self._told(run).read_bytes()).described
        if is_table and described.target is None:
            described = described.model_copy(update={"target": LABEL})
        with self.imports.incoming() as files:
            _copy(files, "model", model)
            if sample is not None:
                _copy(files, "sample", sample)
            return self.imports.accept(
                Wish(model=run.model, described=described), files, by=Actor(**run.actor)
            )

    def _promote(self, run: TrainingRun, then: Then) -> UUID | None:
        wanted = Wanted(
            model=run.model,
            version=str(run.version),
            channel=then.to,
            percent=then.percent,
            reason=_reason(run),
        )
        rollout = self.promote(wanted, by=Actor(**run.actor)).rollout
        return None if rollout is None else rollout.id

    def _begun_rollout(self, run: TrainingRun) -> UUID | None:
        """What a process has begun that died before it could note that."""
        with self.database.read() as connection:
            latest = list_rollouts(connection, run.model, limit=20)
        return next((each.id for each in latest if each.reason == _reason(run)), None)

    def _rollout(self, run: TrainingRun) -> Rollout:
        with self.database.read() as connection:
            return get_rollout(connection, UUID(str(run.rollout_id)))

    def _follow(self, tail: Callable[[], str]) -> None:
        self._log = tail


def _reason(run: TrainingRun) -> str:
    return f"training run {run.id}"


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


def _copy(files: IncomingFiles, part: Part, source: Path) -> None:
    with source.open("rb") as read:
        file = files.open(part, source.name, field=part)
        try:
            while some := read.read(2**20):
                file.write(some)
        finally:
            file.close()
