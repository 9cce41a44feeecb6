"""What can go wrong between a user and the server, or the cloud that shall boot one.

ClientError            the root: its message is one line a user can act on
├── InputError         raised when what the user typed or named cannot be sent
├── Refused            raised when the server, or the cloud, understood the request and said no (4xx)
├── Unavailable        raised when nobody answered, or one answered that it cannot (5xx), or not in time
└── InstanceFailed     raised when an instance was made and does not come up
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One field, file or line that the server found wrong."""

    field: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, got {self.got}"


class ClientError(Exception):
    """The root of everything this package raises on purpose."""


class InputError(ClientError):
    """Raised when what the user typed or named cannot be sent."""


class Refused(ClientError):
    """Raised when the server understood the request and said no; another try would get the same answer."""

    def __init__(self, detail: str, *, code: str = "", faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.faults = faults


class Unavailable(ClientError):
    """Raised when no server answered, or one answered that it cannot.

    `is_passing` says that another try may succeed, `retry_after_s` when the server would like it, and `is_limit` that
    it is busy with nothing: who asks has used a limit up.
    """

    def __init__(
        self,
        detail: str,
        *,
        is_passing: bool = False,
        retry_after_s: float | None = None,
        is_limit: bool = False,
    ) -> None:
        super().__init__(detail)
        self.is_limit = is_limit
        self.is_passing = is_passing
        self.retry_after_s = retry_after_s


class InstanceFailed(ClientError):
    """Raised when an instance was made and does not come up: an error, a failed boot, or time is up.

    `log` is the end of its console, `advice` what to try, one line each.
    """

    def __init__(self, detail: str, *, log: str = "", advice: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.log = log
        self.advice = advice
