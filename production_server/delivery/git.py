"""The one place that calls git: lists of arguments, bounds on time, no settings of whoever pushes."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from production_server.errors import Unavailable
from production_server.shown import shown

BRANCH = "main"
MAIN = f"refs/heads/{BRANCH}"
NOTHING = "0" * 40
"""As git has it where a branch is made, or deleted."""
LONGEST_S = 120.0
_QUARANTINE = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")
"""Where the objects of a push lie until its hook has said yes: without them nothing of it can be read."""
_KEPT = ("PATH", "HOME", "LD_LIBRARY_PATH")
_PIECE_BYTES = 2**20
_LEFT_S = 86_400.0
"""No push takes so long to come."""


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What git gets of an environment: in a hook `GIT_DIR` and settings of whoever pushes are there as well."""
    kept = {name: environ[name] for name in (*_KEPT, *_QUARANTINE) if name in environ}
    return kept | {
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_NO_REPLACE_OBJECTS": "1",
    }


@dataclass(frozen=True, slots=True)
class Git:
    """A bare repository, as git sees it. Safe to share."""

    path: Path

    def run(self, *arguments: str) -> bytes:
        """What git prints; blocks until it ends, or for two minutes.

        Raises:
            Unavailable: git is not there, takes too long, or fails; says what it says.
        """
        try:
            done = subprocess.run(
                self._command(arguments),
                env=environment(os.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise Unavailable(
                f"git {arguments[0]} took more than {LONGEST_S:g} s", place=str(self.path)
            ) from exc
        except OSError as exc:
            raise Unavailable(f"git does not answer: {exc}", place=str(self.path)) from exc
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise Unavailable(f"git {arguments[0]} says: {shown(said[0])}", place=str(self.path))
        return done.stdout

    def main(self) -> str | None:
        """The commit that main names; None: there is none yet.

        Raises:
            Unavailable: as `run`.
        """
        return self.run("for-each-ref", "--format=%(objectname)", MAIN).decode().strip() or None

    def is_within(self, commit: str, other: str) -> bool:
        """Whether `other` is that commit, or comes after it; no commit that is not here is within another one.

        Raises:
            Unavailable: as `run`, and if `other` is not here.
        """
        return commit in self.history(other)

    def history(self, commit: str) -> frozenset[str]:
        """That commit, and all that it comes after.

        Raises:
            Unavailable: as `run`, and if it is not here.
        """
        return frozenset(self.run("rev-list", commit).decode().split())

    def sweep(self) -> None:
        """Remove what pushes have left in the repository that were killed or too large: git keeps it for weeks."""
        for path in self.path.glob("objects/tmp_objdir-*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _LEFT_S:
                    shutil.rmtree(path, ignore_errors=True)

    def subject(self, commit: str) -> str:
        """The first line of what somebody says of a commit, on one line.

        Raises:
            Unavailable: as `run`.
        """
        # The first line is the commit's id: git cannot leave it out before 2.33.
        told = self.run("rev-list", "--max-count=1", "--format=%s", commit).decode(errors="replace")
        return shown(told.partition("\n")[2].strip())

    @contextmanager
    def records(self, *arguments: str, longest_s: float = LONGEST_S) -> Iterator[Iterator[bytes]]:
        """What git prints between NULs, one after the other: whoever has seen enough stops, and so does git.

        Raises:
            Unavailable: git is not there, or has failed, or was too slow: what it has printed may not be all.
        """
        with self._started(arguments, longest_s) as (process, _, answers):
            yield _all_between_nuls(process, answers, arguments[0])

    @contextmanager
    def blobs(self, *, longest_s: float = LONGEST_S) -> Iterator[Blobs]:
        """Files of the repository by their ids.

        Raises:
            Unavailable: git is not there.
        """
        with self._started(["cat-file", "--batch"], longest_s) as (_, asks, answers):
            yield Blobs(asks, answers)

    @contextmanager
    def _started(
        self, arguments: list[str] | tuple[str, ...], longest_s: float
    ) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]]:
        try:
            process = subprocess.Popen(
                self._command(arguments),
                env=environment(os.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as exc:
            raise Unavailable(f"git does not answer: {exc}", place=str(self.path)) from exc
        pipes = cast("tuple[IO[bytes], IO[bytes]]", (process.stdin, process.stdout))
        late = threading.Timer(longest_s, process.kill)
        late.daemon = True
        late.start()
        try:
            yield process, *pipes
        finally:
            late.cancel()
            process.kill()
            for pipe in pipes:
                with suppress(OSError):
                    pipe.close()
            process.wait()

    def _command(self, arguments: list[str] | tuple[str, ...]) -> list[str]:
        return ["git", f"--git-dir={self.path}", *arguments]


class Blobs:
    """Copies files out of a repository, one after the other. For one thread."""

    def __init__(self, asks: IO[bytes], answers: IO[bytes]) -> None:
        self._asks, self._answers = asks, answers

    def copy(self, blob: str, into: BinaryIO) -> None:
        """Write the file of that id.

        Raises:
            Unavailable: git has ended, or knows none. OSError: it cannot be written.
        """
        try:
            self._asks.write(f"{blob}\n".encode())
            self._asks.flush()
        except BrokenPipeError as exc:
            raise Unavailable(f"git ended before it had given {blob}") from exc
        head = self._answers.readline().split()
        if len(head) != 3 or head[1] != b"blob":
            raise Unavailable(f"git has no file {blob}")
        left = int(head[2])
        while left:
            piece = self._answers.read(min(left, _PIECE_BYTES))
            if not piece:
                raise Unavailable(f"git ended in the middle of {blob}")
            into.write(piece)
            left -= len(piece)
        self._answers.read(1)


def _all_between_nuls(process: subprocess.Popen[bytes], stream: IO[bytes], what: str) -> Iterator[bytes]:
    rest = b""
    while piece := stream.read(2**16):
        *whole, rest = (rest + piece).split(b"\0")
        yield from whole
    if process.wait() or rest:
        raise Unavailable(f"git {what} ended before it had told all ({process.returncode})")
