"""Stores that fsspec reaches over the network; what all of them have in common, whatever protocol each speaks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from production_server.errors import CeleriacError, ObjectUnusable, StorageUnavailable
from production_server.storage.locations import Location
from production_server.storage.objects import (
    PIECE_BYTES,
    Page,
    Reference,
    forbidden,
    missing,
    replaced,
    too_slow,
)

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 20
"""Between two pieces of an answer."""
ANSWER_TIMEOUT_S = 120
"""For one object, or one page, as a whole: who sends a byte a second does not hold a worker for ever."""
_BY_STATUS = {401: forbidden, 403: forbidden, 404: missing, 412: replaced}
_BUSY = {408, 429, 500, 502, 503, 504}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object as its store lists it; `etag` without the quotes that HTTP puts around it."""

    key: str
    etag: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Listed:
    """Some of what a store lists, and where to go on behind it, in the store's own words."""

    entries: Sequence[Entry]
    cursor: str
    is_last: bool


class Refused(Exception):
    """Raised by a dialect where the store or its library refuses in its own way; `status` is how HTTP says it."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"status {status}")


class Late(Exception):
    """Raised where an answer has begun, or not, and is not complete in the time that it has."""


class Dialect(Protocol):
    """How one kind of store is asked, by its library, which is imported when a store is first used.

    What `list` and `read` raise is told apart by `status_of`, unless it is an error of this server already.
    """

    def open(self) -> Any:
        """The library's filesystem, with the credentials that it finds; it may ask the network for them."""

    async def list(self, filesystem: Any, location: Location, *, after: str) -> Listed:
        """The next page of all objects whose keys begin alike, from behind the cursor `after` on; asked for once."""

    async def read(self, filesystem: Any, location: Location, *, etag: str, max_bytes: int) -> bytes:
        """An object, if it is that of `etag`; asked for once.

        Raises:
            ObjectUnusable: it has more than `max_bytes`.
        """

    def status_of(self, exc: BaseException) -> int:
        """The HTTP status that an error tells of; 0 where it tells of none."""


class RemoteBuckets:
    """All buckets of one kind of store that the credentials of this process reach; a `Bucket`."""

    def __init__(self, scheme: str, dialect: Dialect) -> None:
        self._scheme = scheme
        self._dialect = dialect
        self._lock = threading.Lock()
        self._filesystem: Any = None
        self._on_their_way: set[Future[Any]] = set()
        self._is_closed = False

    def pages(self, location: Location, *, cursor: str) -> Iterator[Page]:
        while True:
            listed = self._list(location, cursor)
            cursor = listed.cursor
            if listed.entries:
                found = (entry for entry in listed.entries if self._is_object_in(location, entry))
                yield Page(tuple(self._reference(location.bucket, entry) for entry in found), cursor)
            if listed.is_last:
                return

    def fetch(self, location: Location, *, etag: str, max_bytes: int) -> bytes:
        try:
            filesystem = self._opened()
            asked = self._dialect.read(filesystem, location, etag=etag, max_bytes=max_bytes)
            return self._answer(filesystem, asked)
        except CeleriacError:
            raise
        except Late as exc:
            raise too_slow(location, ANSWER_TIMEOUT_S) from exc
        except Exception as exc:
            raise self._translated(exc, location) from exc

    def pieces(self, location: Location, *, etag: str, size_bytes: int) -> Iterator[bytes]:
        for start in range(0, size_bytes, PIECE_BYTES):
            end = min(start + PIECE_BYTES, size_bytes)
            piece = self._piece(location, start, end)
            if len(piece) != end - start:
                raise replaced(location)
            yield piece
        # Not every store's library asks on a condition: so what was read is known to be of one object afterwards.
        now = next((each for each in self._list(location, "").entries if each.key == location.key), None)
        if now is None or now.etag != etag:
            raise replaced(location)

    def _piece(self, location: Location, start: int, end: int) -> bytes:
        try:
            filesystem, path = self._opened(), f"{location.bucket}/{location.key}"
            asked = filesystem._cat_file(path, start=start, end=end)  # noqa: SLF001  # fsspec's way to call from a loop
            return bytes(self._answer(filesystem, asked))
        except Late as exc:
            raise too_slow(location, ANSWER_TIMEOUT_S) from exc
        except FileNotFoundError as exc:
            raise missing(location) from exc
        except Exception as exc:
            raise self._translated(exc, location) from exc

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            for each in self._on_their_way:
                each.cancel()

    def _list(self, location: Location, after: str) -> Listed:
        try:
            filesystem = self._opened()
            return self._answer(filesystem, self._dialect.list(filesystem, location, after=after))
        except Exception as exc:
            raise self._translated(exc, location) from exc

    def _answer(self, filesystem: Any, asked: Coroutine[Any, Any, T], *, within_s: float | None = None) -> T:
        """Wait for what the filesystem's event loop does, in a thread of fsspec's; None: for `ANSWER_TIMEOUT_S`.

        Raises:
            Late: it takes longer than that. CancelledError: this is closed meanwhile.
        """
        with self._lock:
            if self._is_closed:
                asked.close()
                raise CancelledError
            timeout_s = ANSWER_TIMEOUT_S if within_s is None else within_s
            future = asyncio.run_coroutine_threadsafe(_in_time(asked, timeout_s), filesystem.loop)
            self._on_their_way.add(future)
        try:
            return future.result()
        finally:
            with self._lock:
                self._on_their_way.discard(future)

    def _opened(self) -> Any:
        with self._lock:
            if self._filesystem is None:
                self._filesystem = self._dialect.open()
            return self._filesystem

    def _reference(self, bucket: str, entry: Entry) -> Reference:
        return Reference(f"{self._scheme}://{bucket}/{entry.key}", entry.etag, entry.size_bytes)

    def _is_object_in(self, location: Location, entry: Entry) -> bool:
        """Whether it lies there, not only begins alike, and is no empty one by which programs mark folders."""
        is_marker = entry.key.endswith("/") and entry.size_bytes == 0
        return not is_marker and Location(self._scheme, location.bucket, entry.key).is_within(location)

    def _translated(self, exc: Exception, location: Location) -> CeleriacError:
        """What a library raises, by the status that the store answered: often its own exceptions have it as a cause."""
        status = self._told_status(exc)
        if status in _BY_STATUS:
            return _BY_STATUS[status](location)
        if status in _BUSY:
            return StorageUnavailable(f"{location.url}: the store answers {status}")
        if status:
            return ObjectUnusable(f"{location.url}: the store answers {status}", code="object_refused")
        return StorageUnavailable(f"{location.url}: the store does not answer ({type(exc).__name__})")

    def _told_status(self, exc: BaseException) -> int:
        return next((found for each in _causes(exc) if (found := self._status_of(each))), 0)

    def _status_of(self, exc: BaseException) -> int:
        return exc.status if isinstance(exc, Refused) else self._dialect.status_of(exc)


async def _in_time(asked: Coroutine[Any, Any, T], within_s: float) -> T:
    try:
        async with asyncio.timeout(within_s) as deadline:
            return await asked
    except TimeoutError as exc:
        if deadline.expired():
            raise Late from exc
        raise


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__
