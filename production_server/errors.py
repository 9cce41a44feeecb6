"""The errors this server raises on purpose, on one page.

CeleriacError
├── SettingsError         the environment holds values that no process can start with
├── InvalidInput          the client sent something that the model or the API does not take
│   └── TooLarge          … because it is over a limit
├── Unauthorized          the request does not prove that its sender may ask for this
├── NotFound              the client names a model, version or job that does not exist
├── Conflict              the request contradicts what an earlier one with the same key did
├── BrokenVersion         a version's files do not match its manifest, or do not load
├── InferenceFailed       the model itself failed on a batch
├── ObjectUnusable        an object in a bucket, or a listing of one, is not to be had, however often it is asked for
├── StorageUnavailable    the store that an object lies in does not answer; it may later
├── Unavailable           the database, the broker or a worker does not answer; the same request may succeed later
└── DeadlineExceeded      nobody answered the call in the time that the client gave it

`code` is a stable string that reaches the client. HTTP status codes live in `web/`, exit codes in the command line.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with an input: where, what was expected, what came."""

    field: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, got {self.got}"


MISTAKE = "the server made a mistake; its log says which"
"""What a client is told of an error that nobody foresaw."""


class CeleriacError(Exception):
    """Root of all errors that this server raises on purpose; `str(error)` says how to mend it."""

    code = "internal_error"


class SettingsError(CeleriacError):
    """Raised when environment variables hold values that no process can start with; lists all faults at once."""

    code = "invalid_settings"

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("invalid settings: " + "; ".join(map(str, faults)))


class InvalidInput(CeleriacError):
    """Raised when the client sent something that the model or the API does not take; lists up to 20 faults."""

    code = "invalid_input"

    def __init__(self, detail: str, faults: tuple[Fault, ...] = (), *, code: str | None = None) -> None:
        self.faults = faults[:MAX_FAULTS]
        if code is not None:
            self.code = code
        super().__init__(detail)


class TooLarge(InvalidInput):
    """Raised when a body, a file, an image or a job is over its limit; nothing of it was processed."""

    code = "too_large"


class Unauthorized(CeleriacError):
    """Raised when a request does not prove that its sender may ask for this; nothing of it was looked at."""

    code = "unauthorized"


class NotFound(CeleriacError):
    """Raised when the client names a model, a version or a job that does not exist; `code` says which."""

    def __init__(self, detail: str, *, code: str) -> None:
        self.code = code
        super().__init__(detail)


class Conflict(CeleriacError):
    """Raised when an idempotency key comes again with another request."""

    code = "idempotency_conflict"


class BrokenVersion(CeleriacError):
    """Raised when a version's files do not match its manifest, or do not load. Another worker may have it whole."""

    code = "broken_version"


class InferenceFailed(CeleriacError):
    """Raised when the model itself fails on a batch; trying the same batch again would not mend it."""

    code = "inference_failed"


class ObjectUnusable(CeleriacError):
    """Raised when an object in a bucket will not be read, however often it is asked for; `code` says why."""

    def __init__(self, detail: str, *, code: str) -> None:
        self.code = code
        super().__init__(detail)


class StorageUnavailable(CeleriacError):
    """Raised when a store does not answer, or says that it is too busy. No fault of the service's own parts."""

    code = "storage_unavailable"


class Unavailable(CeleriacError):
    """Raised when the database, the broker or a worker does not answer; the same request may succeed later."""

    code = "unavailable"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        if code is not None:
            self.code = code
        super().__init__(detail)


class DeadlineExceeded(CeleriacError):
    """Raised when nobody answered a call in the time that the client gave it; nothing was stored."""

    code = "deadline_exceeded"
