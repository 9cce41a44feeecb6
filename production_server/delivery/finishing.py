"""Publishes what a push has made ready, and promotes it: once, however often somebody dies on the way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import cast

from production_server.access.records import Actor
from production_server.delivery.records import Delivered, Push, Pushes, import_id
from production_server.errors import (
    BrokenVersion,
    Conflict,
    GateClosed,
    NotFound,
    VersionRetired,
)
from production_server.jobs import channels as rows
from production_server.jobs import rollouts
from production_server.jobs.channels import Change, Event
from production_server.jobs.rollouts import Rollout
from production_server.jobs.workers import alive_workers
from production_server.learning.published import published_by
from production_server.learning.replay import Replay
from production_server.models.channels import STABLE
from production_server.models.drafts import draft_version
from production_server.models.manifest import Manifest, read_manifest
from production_server.models.remote_store import remote_store_of
from production_server.models.store_folders import told
from production_server.serving.changes import LONGEST_REASON
from production_server.serving.promoting import Wanted
from production_server.serving.rollouts import LONGEST_LOAD_S
from production_server.serving.serving import Serving
from production_server.settings import Settings

SLACK_S = 10.0
"""So long after the last moment at which workers may have loaded a version somebody has told so."""
_AGAIN = "change something in its folder, and push that"
_MOST_EVENTS = 100
_MOST_ROLLOUTS = 1_000


@dataclass(frozen=True, slots=True)
class Finishing:
    """Finishes pushes whose commits main holds, inside their turn. `say` gets what is done, in lines."""

    settings: Settings
    serving: Serving
    pushes: Pushes
    say: Callable[[str], None]
    waits_s: float = LONGEST_LOAD_S + SLACK_S
    """For workers to load a version."""

    def finish(self, push: Push) -> Push:
        """Do what is left to do for each of its models, and keep what became of it.

        Raises:
            Unavailable: the database does not answer. StoreNotWritable: the store, or the disk, takes nothing. What is
                left then is done when this is called again.
        """
        for model, each in push.models.items():
            if each.state == "ready":
                push = self.note(push, model, self._finish(push, model, each))
        return push

    def note(self, push: Push, model: str, became: Delivered) -> Push:
        """Keep what became of one model.

        Raises:
            StoreNotWritable: there is no room for it.
        """
        push = push.model_copy(update={"models": {**push.models, model: became}})
        self.pushes.note(push)
        return push

    def _finish(self, push: Push, model: str, each: Delivered) -> Delivered:
        try:
            each = each.model_copy(update={"version": self._published(push, model)})
            return self._served(push, model, each, str(each.version))
        except (GateClosed, BrokenVersion, Conflict, NotFound, VersionRetired) as exc:
            return self._refused(model, each, str(exc))

    def _served(self, push: Push, model: str, each: Delivered, version: str) -> Delivered:
        found = self._rollout(model, version, each)
        if found is None:
            if (change := self._change_since(model, each)) is not None:
                return self._overtaken(model, each, change)
            found = self._promote(push, model, version)
        return self._told(model, each, self._wait(model, found))

    def _published(self, push: Push, model: str) -> str:
        """The number of the version that it has become, now or before.

        Raises:
            BrokenVersion: it is neither published nor ready any more.
        """
        registry = self.serving.registry
        before = published_by(import_id(push.commit, model), model, registry, self.settings)
        if before is not None:
            return before.manifest.version
        ready = self.pushes.ready(push.commit, model)
        if not ready.is_dir():
            raise BrokenVersion(f"what was made ready of it is gone: {_AGAIN}")
        version = self._publish(model, ready).version
        self.say(f"{model}: published as version {version}")
        registry.look_again()
        return version

    def _publish(self, model: str, ready: Path) -> Manifest:
        *others, store = self.settings.model_stores
        above = self.serving.overview.highest_told(model)
        remote = remote_store_of(self.settings)
        with draft_version(store, model, others=others, above=above, remote=remote) as draft:
            with told(store):
                shutil.copytree(ready, draft.folder, dirs_exist_ok=True)
            manifest = read_manifest(ready)
            files = draft.digests()
            if files != manifest.files:
                raise BrokenVersion(f"what was made ready of it is not what the gate has seen: {_AGAIN}")
            numbered = manifest.model_copy(update={"version": draft.version})
            return read_manifest(draft.publish(numbered, check=lambda _folder: None))

    def _rollout(self, model: str, version: str, pushed: Delivered) -> Rollout | None:
        """The promotion that has begun already; it is a row of the transaction in which it began."""
        with self.serving.database.read() as connection:
            found = rollouts.list_rollouts(connection, model, limit=_MOST_ROLLOUTS)
        later = takewhile(lambda each: each.id != pushed.rollout, found)
        return next((each for each in later if (each.channel, each.version) == (STABLE, version)), None)

    def _change_since(self, model: str, each: Delivered) -> Event | None:
        """What somebody has said of the model since the gate has looked at it."""
        with self.serving.database.read() as connection:
            found = rows.list_events(connection, model, channel_name=STABLE, limit=_MOST_EVENTS)
        said = (Change.SET, Change.ROLLED_BACK)
        return next((event for event in found if event.id > each.event and event.act in said), None)

    def _promote(self, push: Push, model: str, version: str) -> Rollout:
        reason = f"git push {push.commit[:8]} {push.subject}"[:LONGEST_REASON]
        wanted = Wanted(model=model, version=version, reason=reason)
        promoted = self.serving.promote(wanted, by=Actor(**push.actor))
        return cast("Rollout", promoted.rollout)  # only a dry run has none

    def _wait(self, model: str, found: Rollout) -> Rollout:
        return self.serving.rollouts.wait(
            found.id,
            seconds=self.waits_s,
            say=lambda workers: self.say(f"{model}: {_waiting(workers)}"),
        )

    def _told(self, model: str, each: Delivered, found: Rollout) -> Delivered:
        if found.state == "loading":
            self.say(f"{model}: version {each.version} is still loading; it goes live when all have it")
            return each
        if found.state != "live":
            return self._refused(model, each, found.told)
        self._say_live(model, each, found)
        return each.model_copy(update={"state": "live"})

    def _say_live(self, model: str, each: Delivered, found: Rollout) -> None:
        if found.replay is not None and (replay := Replay.model_validate(found.replay)).items:
            self.say(f"{model}: {replay.told}")
        seconds = max(0.0, (found.ended_at or found.began_at) - found.began_at)
        is_other = found.before not in (None, each.version)
        before = f"; before it was version {found.before}" if is_other else ""
        self.say(f"{model}: version {each.version} is {STABLE}, loaded in {seconds:.1f} s{before}")
        if not alive_workers(self.serving.database):
            self.say(f"{model}: no worker lives: it serves as soon as one has started")

    def _refused(self, model: str, each: Delivered, why: str) -> Delivered:
        is_known = model in self.serving.registry.model_names()
        names = self.serving.overview.named(model, STABLE) if is_known else None
        serves = f"version {names.version} serves on" if names else "nothing serves"
        what = f"version {each.version}" if each.version else "what was pushed"
        self.say(f"{model}: {what} does not go live: {why}")
        self.say(f"{model}: {serves}; main names what was pushed all the same")
        return each.model_copy(update={"state": "refused", "told": why})

    def _overtaken(self, model: str, each: Delivered, change: Event) -> Delivered:
        why = f"{change.client} had {STABLE} name version {change.after} meanwhile"
        self.say(f"{model}: version {each.version} waits: {why}")
        self.say(f"{model}: to have it serve all the same: models promote {model} {each.version}")
        return each.model_copy(update={"state": "overtaken", "told": why})


def _waiting(workers: list[str]) -> str:
    if workers:
        return f"waiting until it is loaded in {', '.join(workers)}"
    return "waiting until it has answered the last items of jobs"
