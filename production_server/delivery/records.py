"""What is kept of pushes in `STATE_DIR/pushes`: what they have made ready, what became of it, and whose turn it is."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid5

from pydantic import ValidationError

from production_server.errors import Unavailable
from production_server.models.drafts import hidden_folder, sweep_hidden
from production_server.models.manifest import Frozen
from production_server.models.store_folders import sync, told

RECORD_FILE = ".push.json"
"""No model may be called so."""
_LOCK_FILE = "lock"
MOST_KEPT = 200
"""Records of pushes that are over; each has some hundred bytes."""
LONGEST_WAIT_S = 3600.0
SAID_EVERY_S = 30.0
LOOK_EVERY_S = 0.2
_ENDED = ("Z", "X")
"""States of a process that is there for nothing but to be asked how it ended."""
_NAMESPACE = UUID("8e0c0c39-6b5f-4d0e-9d0f-3b5f5c1f2c0a")

State = Literal["ready", "live", "refused", "overtaken"]
"""`ready`: it has passed, and is not finished. `overtaken`: something else was said of the model meanwhile."""


class Delivered(Frozen):
    """One model of a push, and what became of it."""

    path: str
    """Of its file, or of its manifest, in the commit."""
    event: int
    """The last change of its channel `stable` when it was held against that; 0: there was none."""
    rollout: UUID | None = None
    """The last rollout of the model then: only a later one is this push's."""
    state: State = "ready"
    version: str | None = None
    told: str = ""
    """Why it does not serve; empty as long as it may."""


class Push(Frozen):
    """What its record holds. `receiver` is the git that received it: its process id, and when that began."""

    commit: str
    subject: str
    actor: dict[str, Any]
    at: datetime
    receiver: tuple[int, str]
    models: Mapping[str, Delivered]

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do for it."""
        return all(each.state != "ready" for each in self.models.values())

    @property
    def is_being_received(self) -> bool:
        """Whether git is still about to move the branch, or its hook runs after that."""
        return _began(self.receiver[0]) == self.receiver[1] != ""


def import_id(commit: str, model: str) -> UUID:
    """By which a version is found again that came of a commit."""
    return uuid5(_NAMESPACE, f"{commit}/{model}")


def receiver() -> tuple[int, str]:
    """The process that has started this hook."""
    return os.getppid(), _began(os.getppid())


@dataclass(frozen=True, slots=True)
class Pushes:
    """The pushes of one service. Whoever changes something is inside `turn`, but for hidden folders."""

    folder: Path

    def of(self, commit: str) -> Push | None:
        """What is kept of one; None: nothing, or what is there cannot be read."""
        try:
            return Push.model_validate_json((self.folder / commit / RECORD_FILE).read_bytes())
        except (OSError, ValidationError):
            return None

    def all(self) -> list[Push]:
        """All that are kept, the latest first."""
        found = (self.of(path.parent.name) for path in self.folder.glob(f"[!.]*/{RECORD_FILE}"))
        return sorted((each for each in found if each is not None), key=lambda each: each.at, reverse=True)

    def ready(self, commit: str, model: str) -> Path:
        """Where what was made ready of a model lies."""
        return self.folder / commit / model

    def keep(self, draft: Path, push: Push) -> None:
        """Bring a draft with what was made ready to the disk, and give it its name.

        Raises:
            StoreNotWritable: there is no room for it.
        """
        with told(self.folder):
            (draft / RECORD_FILE).write_text(push.model_dump_json(indent=2) + "\n", encoding="utf-8")
            for path in (*draft.rglob("*"), draft):
                sync(path)
            shutil.rmtree(self.folder / push.commit, ignore_errors=True)
            draft.rename(self.folder / push.commit)
            sync(self.folder)

    def note(self, push: Push) -> None:
        """Write down what became of one; of what is over only that is kept.

        Raises:
            StoreNotWritable: there is no room for it.
        """
        folder = self.folder / push.commit
        with told(self.folder):
            new = folder / f"{RECORD_FILE}.new"
            new.write_text(push.model_dump_json(indent=2) + "\n", encoding="utf-8")
            sync(new)
            new.rename(folder / RECORD_FILE)
            sync(folder)
        for name, each in push.models.items():
            if each.state != "ready":
                shutil.rmtree(folder / name, ignore_errors=True)

    def has_left_drafts(self) -> bool:
        """Whether something lies there of a push that must have died: none takes so long."""
        before = time.time() - LONGEST_WAIT_S
        try:
            return any(path.stat().st_mtime < before for path in self.folder.glob(".*/"))
        except OSError:
            return False

    def sweep(self, is_in_main: Callable[[str], bool]) -> None:
        """Remove what pushes have left that were refused or died, and records of long ago."""
        with suppress(OSError):
            sweep_hidden(self.folder)
        for path in self.folder.glob("[!.]*/"):
            push = self.of(path.name)
            # What cannot be read now may be read by another release. What is over was in the branch.
            is_needed = (
                (path / RECORD_FILE).exists() if push is None else push.is_over or push.is_being_received
            )
            if not (is_needed or (push is not None and is_in_main(push.commit))):
                shutil.rmtree(path, ignore_errors=True)
        for push in [each for each in self.all() if each.is_over][MOST_KEPT:]:
            shutil.rmtree(self.folder / push.commit, ignore_errors=True)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A hidden folder for what is being made ready; what is left of it goes with the block, or the process.

        Raises:
            StoreNotWritable: there is no room for it.
        """
        with hidden_folder(self.folder) as folder:
            yield folder

    @contextmanager
    def turn(
        self, who: str, *, say: Callable[[str], None] = lambda _: None, waits_s: float = LONGEST_WAIT_S
    ) -> Iterator[None]:
        """While nobody else pushes or finishes a push; `say` is told who does, and again every half minute.

        The kernel lets go of what a process held, however it ended: no lock is left behind.

        Raises:
            Unavailable: it is somebody else's turn for longer than `waits_s`. StoreNotWritable: there is no place.
        """
        with told(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._wait(descriptor, say, waits_s)
            with told(self.folder):
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, f"{who} since {datetime.now(UTC):%H:%M:%S} UTC".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def _wait(self, descriptor: int, say: Callable[[str], None], waits_s: float) -> None:
        began, said_at = time.monotonic(), -SAID_EVERY_S
        while (holder := self._taken_by(descriptor)) is not None:
            waited = time.monotonic() - began
            if waited >= waits_s:
                raise Unavailable(f"{holder} is pushing: push again when that is over")
            if waited - said_at >= SAID_EVERY_S:
                say(f"Waiting for another push: {holder}.")
                said_at = waited
            time.sleep(LOOK_EVERY_S)

    def _taken_by(self, descriptor: int) -> str | None:
        """Who holds the turn; None: this process does now."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(descriptor, 200, 0).decode(errors="replace") or "somebody"
        for push in self.all():
            # Between its two hooks git moves the branch, and holds nothing that this could see.
            if not push.is_over and push.is_being_received and push.receiver != receiver():
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                return f"{push.actor['client']} since {push.at:%H:%M:%S} UTC"
        return None


def _began(process: int) -> str:
    """When a process began, in ticks since the machine did, by which it is told from a later one; empty: it is gone."""
    try:
        told = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return "" if told[0] in _ENDED else told[19]
    except (OSError, IndexError):
        return ""
