"""What the hooks of the repository do: look at what is pushed before git takes it, and have it serve afterwards."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from production_server.access.records import Actor
from production_server.delivery.finishing import Finishing
from production_server.delivery.git import BRANCH, MAIN, NOTHING, Git
from production_server.delivery.preparing import Preparing
from production_server.delivery.records import Delivered, Push, Pushes, receiver
from production_server.delivery.trees import Looking, files_of, model_trees, unpack
from production_server.errors import (
    CeleriacError,
    Conflict,
    InvalidInput,
    SettingsError,
    StoreNotWritable,
    Unavailable,
)
from production_server.models.channels import STABLE
from production_server.models.store_folders import told
from production_server.serving.serving import Serving
from production_server.settings import Settings
from production_server.shown import shown

FOLDER = "pushes"
_RECONCILER = "the reconciler"
_RECONCILER_WAITS_S = 30.0
"""For workers: it has the turn meanwhile, and comes again."""


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """What git wants to do to one branch or tag, as it tells a hook."""

    old: str
    new: str
    name: str

    @classmethod
    def read(cls, lines: Sequence[str]) -> list[RefUpdate]:
        """Those that a hook is told of, a line for each.

        Raises:
            ValueError: git would have written something else.
        """
        return [cls(*line.split(" ", 2)) for line in (each.rstrip("\n") for each in lines) if line]


@dataclass(frozen=True, slots=True)
class Status:
    """How one model of main stands. `state` is that of its last push; None: nothing is known of any."""

    model: str
    serves: str | None
    commit: str | None
    version: str | None
    state: str | None
    told: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """The pushes to one repository, and the service that they are for. `say` gets lines for whoever pushes."""

    settings: Settings
    serving: Serving
    git: Git
    say: Callable[[str], None]

    @property
    def pushes(self) -> Pushes:
        """What is kept of them."""
        return pushes_of(self.settings)

    def receive(self, updates: Sequence[RefUpdate], by: Actor) -> None:
        """Before git moves anything: make ready all models that change. Whatever is raised refuses the whole push.

        Raises:
            InvalidInput: what is pushed is none that is taken, or a model may not serve; all faults were said.
            Conflict: it is not based on what main names now. Unavailable, StoreNotWritable: something is away, or full.
        """
        update = only_main(updates)
        with self.pushes.turn(by.client, say=self.say):
            self.pushes.sweep(self._is_in_main)
            self.git.sweep()
            self._check_base(update)
            changed, gone = self._changes(update)
            for model in gone:
                self.say(
                    f"{model}: its folder is gone. That retires nothing; to do so: models retire {model} VERSION"
                )
            if not changed:
                self.say("No model has changed: nothing goes live by this push.")
                return
            subject = self.git.subject(update.new)
            self.say(f'{update.new[:8]} "{subject}": {_count(len(changed))} changed.')
            self._make_ready(update.new, subject, changed, by)

    def deliver(self, updates: Sequence[RefUpdate], by: Actor) -> None:
        """After git has moved main: publish and promote what was made ready.

        Raises:
            Unavailable, StoreNotWritable: something is away, or full: the reconciler does the rest later.
        """
        (update,) = (each for each in updates if each.name == MAIN)
        with self.pushes.turn(by.client, say=self.say):
            push = self.pushes.of(update.new)
            if push is not None:
                Finishing(self.settings, self.serving, self.pushes, self.say).finish(push)
                seconds = (datetime.now(UTC) - push.at).total_seconds()
                self.say(f"Done, {seconds:.1f} s after the push began.")

    def reconcile(self) -> list[Push]:
        """Finish what hooks have left that died; those that are not over then. Somebody's turn is not waited for.

        Raises:
            Unavailable, StoreNotWritable: something is away, or full, or it is somebody else's turn.
        """
        with self.pushes.turn(_RECONCILER, waits_s=0):
            self.pushes.sweep(self._is_in_main)
            finishing, seen = (
                Finishing(self.settings, self.serving, self.pushes, self.say, _RECONCILER_WAITS_S),
                set[str](),
            )
            for push in self.pushes.all():
                self._finish_all_but(finishing, push, seen)
                seen.update(push.models)
        return [push for push in self.pushes.all() if not push.is_over]

    def status(self) -> Iterator[Status]:
        """How the models of main stand, by name.

        Raises:
            Unavailable: git, or the database, does not answer.
        """
        main = self.git.main()
        history = self.git.history(main) if main else frozenset[str]()
        kept = [push for push in self.pushes.all() if push.commit in history]
        for model in sorted(model_trees(self.git, main) if main else ()):
            push = next((each for each in kept if model in each.models), None)
            last = push.models[model] if push else None
            is_known = model in self.serving.registry.model_names()
            named = self.serving.overview.named(model, STABLE) if is_known else None
            yield Status(
                model=model,
                serves=named.version if named else None,
                commit=push.commit if push else None,
                version=last.version if last else None,
                state=last.state if last else None,
                told=last.told if last else "",
            )

    def _finish_all_but(self, finishing: Finishing, push: Push, seen: set[str]) -> None:
        """What a later push has changed as well is that one's."""
        for model, each in push.models.items():
            if model in seen and each.state == "ready":
                later = each.model_copy(
                    update={"state": "overtaken", "told": "a later push has changed it as well"}
                )
                push = finishing.note(push, model, later)
        finishing.finish(push)

    def _is_in_main(self, commit: str) -> bool:
        main = self.git.main()
        return main is not None and self.git.is_within(commit, main)

    def _check_base(self, update: RefUpdate) -> None:
        now = self.git.main() or NOTHING
        if update.old != now:
            raise Conflict(
                f"{BRANCH} has moved meanwhile, to {now[:8]}: git pull, and push again", code="channel_moved"
            )
        if now != NOTHING and not self.git.is_within(now, update.new):
            raise InvalidInput.at(
                BRANCH,
                f"a commit that comes after {now[:8]} (git pull --rebase first; what serves is never forced)",
                f"{update.new[:8]}, which does not",
            )

    def _changes(self, update: RefUpdate) -> tuple[dict[str, str], list[str]]:
        """The models whose folders are others than in what main names now, by name, and those that are gone.

        What nobody here has heard of counts as changed: store and database may be new ones.
        """
        new = model_trees(self.git, update.new)
        old = {} if update.old == NOTHING else model_trees(self.git, update.old)
        here, told_of = set(self.serving.registry.model_names()), self.serving.overview.highest_told
        changed = {
            model: tree
            for model, tree in sorted(new.items())
            if old.get(model) != tree or (model not in here and not told_of(model))
        }
        return changed, sorted(old.keys() - new.keys())

    def _make_ready(self, commit: str, subject: str, changed: Mapping[str, str], by: Actor) -> None:
        at, began = datetime.now(UTC), time.monotonic()
        refused: list[str] = []
        models: dict[str, Delivered] = {}
        looking = Looking()
        with self.pushes.draft() as draft:
            for number, (model, tree) in enumerate(changed.items(), 1):
                self.say(f"{model}:" if len(changed) == 1 else f"{model} ({number} of {len(changed)}):")
                try:
                    models[model] = self._prepare(commit, model, tree, draft, looking)
                except (Unavailable, StoreNotWritable):
                    raise  # The same would be said of the others.
                except CeleriacError as exc:
                    self.say(f"{model}: refused.")
                    for line in _told(exc):
                        self.say(f"  {line}")
                    refused.append(model)
            if refused:
                raise InvalidInput(f"{', '.join(refused)} cannot serve so: nothing was changed")
            push = Push(
                commit=commit, subject=subject, actor=by.to_json(), at=at, receiver=receiver(), models=models
            )
            self.pushes.keep(draft, push)
        self.say(f"{_count(len(models))} passed in {time.monotonic() - began:.1f} s.")

    def _prepare(self, commit: str, model: str, tree: str, draft: Path, looking: Looking) -> Delivered:
        most_bytes = self.settings.import_file_bytes
        files = files_of(self.git, model, tree, most_bytes=most_bytes, looking=looking)
        pushed = draft / f".{model}" / model
        with told(draft):
            pushed.mkdir(parents=True)
        try:
            unpack(self.git, files, model, pushed, looking=looking)
            preparing = Preparing(self.settings, self.serving, commit, lambda line: self.say(f"  {line}"))
            return preparing.prepare(model, pushed, draft / model)
        finally:
            shutil.rmtree(pushed.parent, ignore_errors=True)


def only_main(updates: Sequence[RefUpdate]) -> RefUpdate:
    """The one update of a push that may be one: of main, which stays.

    Raises:
        InvalidInput: another branch, a tag, or nothing of main is to stay; names each.
    """
    others = [each for each in updates if each.name != MAIN]
    if others:
        names = ", ".join(each.name.removeprefix("refs/heads/") for each in others)
        raise InvalidInput.at(
            "branch", f"only {BRANCH}, which is what serves (git push production HEAD:{BRANCH})", shown(names)
        )
    (update,) = updates
    if update.new == NOTHING:
        raise InvalidInput.at(BRANCH, "a commit: what serves is not deleted", "nothing")
    return update


def pushes_of(settings: Settings) -> Pushes:
    """What is kept of the pushes to these settings' repository."""
    return Pushes(settings.state_dir / FOLDER)


def _told(exc: CeleriacError) -> list[str]:
    if isinstance(exc, (InvalidInput, SettingsError)) and exc.faults:
        return [str(fault) for fault in exc.faults]
    return [str(exc)]


def _count(models: int) -> str:
    return "1 model" if models == 1 else f"{models} models"
