"""What the tests ask of a store of objects, whatever protocol it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol


class Store(Protocol):
    """A store that answers on this machine, with everything in memory or in a folder of its own."""

    @property
    def scheme(self) -> str:
        """How the URLs of its objects begin."""

    @property
    def environ(self) -> Mapping[str, str]:
        """What a process needs to reach it."""

    def fill(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """Put objects into a bucket, which is made if it is not there."""

    def remove(self, bucket: str, key: str) -> None:
        """Delete an object."""

    def away(self) -> AbstractContextManager[None]:
        """Nobody answers; what is stored comes back with the store."""
