"""The errors this server raises on purpose, on one page.

CeleriacError
├── SettingsError         the environment holds values that no process can start with
├── InvalidInput          the client sent something that the model or the API does not take
│   └── TooLarge          … because it is over a limit
├── Unauthorized          the request does not prove that its sender may ask for this
│   └── NotKnownYet       … by a key that is not known here; it may have been made a moment ago
├── Forbidden             whoever asks may not do this
├── TooManyRequests       a client, or an address, has used a limit up; there is room again later
├── Foreign               a page of another site has a browser ask, or it asks for a name that is not the service's
├── NotFound              the client names a model, version or job that does not exist
├── VersionRetired        the client asks a version that takes no new work
├── Conflict              the request contradicts how things stand, or what an earlier one with the same key did
├── StoreNotWritable      a model store takes no new version
├── ImportFailed          the process that reads foreign files ended before it had an answer
├── BrokenVersion         a version's files do not match its manifest, or do not load
├── InferenceFailed       the model itself failed on a batch
├── WorkerLost            the workers that had an item were lost, one after the other
├── ObjectUnusable        an object in a bucket, or a listing of one, is not what it should be, and stays so
│   └── ObjectOutOfReach  … or is not to be had now; whoever asks another day may get it
├── StorageUnavailable    the store that an object lies in does not answer; it may later
├── Unavailable           the database, the broker or a worker does not answer; the same request may succeed later
└── DeadlineExceeded      nobody answered the call in the time that the client gave it

Each class declares the codes that its errors have, and whether what failed may succeed another time. `code` is a stable
string that reaches the client. HTTP status codes live in `web/`, exit codes in the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

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
    other_codes: ClassVar[tuple[str, ...]] = ()
    """What an error of this class may have instead."""
    is_retryable: ClassVar[bool] = False
    """Whether what failed of it may succeed another time."""

    def __init__(self, detail: str, *, code: str | None = None, place: str = "") -> None:
        """`detail` says how to mend it; `code` is one that the class declares.

        `place` is where on this machine: for the command line and the log, since it is nothing that clients are told.

        Raises:
            ValueError: it declares no such code.
        """
        if code is not None and not self.declares(code):
            raise ValueError(f"{type(self).__name__} declares no code {code!r}")
        if code is not None:
            self.code = code
        self.place = place
        super().__init__(detail)

    @property
    def with_place(self) -> str:
        """What it says, and where: for whoever runs the server."""
        return f"{self} ({self.place})" if self.place else str(self)

    @classmethod
    def declares(cls, code: str) -> bool:
        """Whether an error of this class may have this code."""
        return code in (cls.code, *cls.other_codes)


class SettingsError(CeleriacError):
    """Raised when environment variables hold values that no process can start with; lists all faults at once."""

    code = "invalid_settings"

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("invalid settings: " + "; ".join(map(str, faults)))


class InvalidInput(CeleriacError):
    """Raised when the client sent something that the model or the API does not take; lists up to 20 faults."""

    code = "invalid_input"
    other_codes: ClassVar[tuple[str, ...]] = (
        "damaged_image",
        "empty_file",
        "location_not_allowed",
        "malformed_json",
        "not_an_event",
        "not_an_image",
        "request_timeout",
        "unsupported_image",
        "unsupported_media_type",
    )

    def __init__(self, detail: str, faults: Sequence[Fault] = (), *, code: str | None = None) -> None:
        """For what is no fault of one field, or for several; for one there is `at`."""
        self.faults = tuple(faults[:MAX_FAULTS])
        super().__init__(detail, code=code)

    @classmethod
    def at(cls, field: str, expected: str, got: str, *, code: str | None = None) -> Self:
        """The error for one fault, which its detail names: where, what was expected, what came."""
        fault = Fault(field, expected, got)
        return cls(str(fault), (fault,), code=code)


class TooLarge(InvalidInput):
    """Raised when a body, a file, an image or a job is over its limit; nothing of it was processed."""

    code = "too_large"
    other_codes: ClassVar[tuple[str, ...]] = ("image_too_large",)


class Unauthorized(CeleriacError):
    """Raised when a request does not prove that its sender may ask for this; nothing of it was looked at."""

    code = "unauthorized"


class NotKnownYet(Unauthorized):
    """Raised for a key that this process does not know, and may know after it has looked again."""

    code = "unknown_key"


class Forbidden(CeleriacError):
    """Raised when whoever asks is known, and may not do this; says which scope it takes."""

    code = "forbidden"


class TooManyRequests(CeleriacError):
    """Raised when a client, or an address, has used a limit up: `limit` is its name, of `most` in a minute, or at once.

    After `retry_after_s` there is room again, unless more is used until then.
    """

    code = "too_many_requests"
    is_retryable = True

    def __init__(self, detail: str, *, limit: str, most: int, retry_after_s: int) -> None:
        self.limit = limit
        self.most = most
        self.retry_after_s = retry_after_s
        super().__init__(detail)


class Foreign(CeleriacError):
    """Raised when a browser asks on behalf of another site's page, or for a name that may be anybody's."""

    code = "foreign_page"
    other_codes: ClassVar[tuple[str, ...]] = ("unknown_host",)


class NotFound(CeleriacError):
    """Raised when the client names a model, a version or a job that does not exist; `code` says which."""

    code = "not_found"
    other_codes: ClassVar[tuple[str, ...]] = (
        "canary_not_found",
        "channel_not_found",
        "classifier_not_found",
        "decision_not_found",
        "events_not_taken",
        "face_not_found",
        "import_not_found",
        "item_not_found",
        "job_not_found",
        "key_not_found",
        "label_set_not_found",
        "model_not_found",
        "persona_not_found",
        "personas_off",
        "report_not_found",
        "rollout_not_found",
        "scan_not_found",
        "training_not_found",
        "version_not_found",
    )


class VersionRetired(CeleriacError):
    """Raised when a client asks a version that was retired; what was accepted before is finished."""

    code = "version_retired"


class Conflict(CeleriacError):
    """Raised when a request contradicts how things stand; `code` says which.

    An idempotency key comes again with another request; a key or an import is over; a channel, or a
    version, is not what whoever wants to change it takes it for; a decision is undone, or contradicts another; a set of
    labels, or a persona, is there already; a model is being trained, or a training run is over.
    """

    code = "idempotency_conflict"
    other_codes: ClassVar[tuple[str, ...]] = (
        "channel_moved",
        "decision_undone",
        "face_contradicted",
        "import_over",
        "key_over",
        "label_set_exists",
        "nothing_before",
        "persona_exists",
        "training_open",
        "training_over",
        "version_built_in",
        "version_does_not_load",
        "version_in_use",
        "version_not_retired",
        "version_on_channel",
    )


class BrokenVersion(CeleriacError):
    """Raised when a version's files do not match its manifest, or do not load. Another worker may have it whole."""

    code = "broken_version"


class StoreNotWritable(CeleriacError):
    """Raised when a model store takes no new version: it is full, or not writable; nothing half is left in it."""

    code = "store_not_writable"
    other_codes: ClassVar[tuple[str, ...]] = ("store_full",)


class ImportFailed(CeleriacError):
    """Raised when the process that reads a foreign file ends, or is ended at a limit, before it has an answer."""

    code = "import_failed"


class ImportStopped(CeleriacError):
    """Raised when an import is ended early: it was cancelled, or this process stops and another one goes on."""

    code = "import_stopped"


class GateClosed(InvalidInput):
    """Raised when a version may not serve; its faults are the checks that it has failed."""

    code = "gate_closed"
    other_codes: ClassVar[tuple[str, ...]] = ()


class InferenceFailed(CeleriacError):
    """Raised when the model itself fails on a batch; trying the same batch again would not mend it."""

    code = "inference_failed"


class WorkerLost(CeleriacError):
    """What an item fails with that was in the hands of too many workers that were lost."""

    code = "worker_lost"
    is_retryable = True


class ObjectUnusable(CeleriacError):
    """Raised when an object in a bucket will not be read, however often it is asked for; `code` says why."""

    code = "object_refused"
    other_codes: ClassVar[tuple[str, ...]] = ("object_name_unusable", "object_replaced", "object_too_large")


class ObjectOutOfReach(ObjectUnusable):
    """Raised when an object is not to be had now, for a reason that may be gone another day; `code` says which."""

    code = "object_missing"
    other_codes: ClassVar[tuple[str, ...]] = ("object_forbidden", "object_too_slow")
    is_retryable = True


class StorageUnavailable(CeleriacError):
    """Raised when a store does not answer, or says that it is too busy. No fault of the service's own parts."""

    code = "storage_unavailable"
    is_retryable = True


class Unavailable(CeleriacError):
    """Raised when the database, the broker or a worker does not answer; the same request may succeed later."""

    code = "unavailable"
    other_codes: ClassVar[tuple[str, ...]] = ("overloaded",)
    is_retryable = True


class DeadlineExceeded(CeleriacError):
    """Raised when nobody answered a call in the time that the client gave it; nothing was stored."""

    code = "deadline_exceeded"
    is_retryable = True


def retryable_codes(root: type[CeleriacError] = CeleriacError) -> frozenset[str]:
    """The codes of all errors after which the same may succeed another time."""
    own = (root.code, *root.other_codes) if root.is_retryable else ()
    return frozenset(own).union(*map(retryable_codes, root.__subclasses__()))
