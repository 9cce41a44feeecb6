"""Which buckets have answered lately, as far as this process knows: the others may hold a part of the threads only.

Folders of this machine have threads of their own: they never wait for a network.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

FOLDERS = "file://"
"""All folders of this machine are this one bucket."""
LATELY_S = 60.0


@dataclass(slots=True)
class Lately:
    """When buckets answered last. Not safe to share between threads: whoever has it locks."""

    _answered_at: dict[str, float] = field(default_factory=dict)

    def note(self, bucket: str, at: float | None = None) -> None:
        """A bucket answered, now or at a time of the monotonic clock."""
        self._answered_at[bucket] = time.monotonic() if at is None else at

    def forget(self, bucket: str) -> None:
        """A bucket did not answer."""
        self._answered_at.pop(bucket, None)

    def buckets(self) -> set[str]:
        """Those that have answered lately."""
        earliest = time.monotonic() - LATELY_S
        self._answered_at = {bucket: at for bucket, at in self._answered_at.items() if at >= earliest}
        return set(self._answered_at)


@dataclass(frozen=True, slots=True)
class Shares:
    """How many threads may wait: for networks in all, for buckets that have not answered lately, and for folders."""

    network: int
    silent: int
    folders: int

    @classmethod
    def of(cls, threads: int) -> Shares:
        """A quarter is for folders; half may be held by buckets that have not answered lately. Each has one."""
        folders = max(1, threads // 4)
        network = max(1, threads - folders)
        return cls(network, min(network, max(1, threads // 2)), folders)

    @property
    def threads(self) -> int:
        return self.network + self.folders

    def allowed(self, held: Iterable[str], answered: set[str]) -> set[str] | None:
        """The buckets that may hold one more, where these buckets hold one each; None: any."""
        networks = [bucket for bucket in held if bucket != FOLDERS]
        if len(networks) >= self.network:
            return {FOLDERS}
        if sum(bucket not in answered for bucket in networks) >= self.silent:
            return answered | {FOLDERS}
        return None
