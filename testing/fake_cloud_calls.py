"""What a test may do with the calls of a cloud in memory: see them, put code around them, let them fail."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Concatenate, Literal, ParamSpec, TypeVar

from client.launcher.cloud import Cloud

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Calls")
Moment = Literal["before", "after"]


@dataclass(frozen=True)
class Call:
    """One call as hooks see it: the `number`-th of its operation, before or after its effect."""

    operation: str
    moment: Moment
    number: int


@dataclass(frozen=True)
class _Failure:
    operation: str
    moment: Moment
    error: BaseException
    numbers: range

    def strikes(self, call: Call) -> bool:
        is_meant = (self.operation, self.moment) == (call.operation, call.moment)
        return is_meant and call.number in self.numbers


class Calls:
    """The calls of one cloud, from any number of threads.

    `calls` are the operations as they came. `hooks` are called before and after each, outside of the lock: one may
    raise, wait for another thread, or call the cloud itself.
    """

    def __init__(self) -> None:
        self.hooks: list[Callable[[Call], None]] = []
        self.calls: list[str] = []
        self.lock = threading.RLock()
        self._failures: list[_Failure] = []
        self._counts = Counter[str]()

    def fail(
        self,
        operation: str,
        *,
        with_: BaseException,
        on_call: int = 1,
        times: int = 1,
        moment: Moment = "before",
    ) -> None:
        """Let calls of an operation fail, from the `on_call`-th from now on; `after` loses only the answer."""
        assert hasattr(Cloud, operation), f"a cloud has no {operation}"
        first = self._counts[operation] + on_call
        self._failures.append(_Failure(operation, moment, with_, range(first, first + times)))

    def began(self, operation: str) -> int:
        """Note one call; returns its number."""
        with self.lock:
            self.calls.append(operation)
            self._counts[operation] += 1
            return self._counts[operation]

    def passes(self, call: Call) -> None:
        """Run the hooks of one moment of a call, then fail if that is ordered."""
        for hook in tuple(self.hooks):
            hook(call)
        for failure in self._failures:
            if failure.strikes(call):
                raise failure.error


def operation(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Make a method one of the calls: between its hooks its effect is atomic."""
    name = method.__name__

    @functools.wraps(method)
    def wrapper(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        number = self.began(name)
        self.passes(Call(name, "before", number))
        with self.lock:
            result = method(self, *args, **kwargs)
        self.passes(Call(name, "after", number))
        return result

    return wrapper
