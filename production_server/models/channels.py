"""Names for versions that move, and versions that take no new work: how the versions of a model stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Reversible
from dataclasses import dataclass, field

STABLE = "stable"
"""What whoever names no version gets."""
CANARY = "canary"
"""Of this name and of `STABLE` the service itself knows what they are for; all others are their users'."""
LONGEST_CHANNEL = 32
CHANNEL_RULE = f"1 to {LONGEST_CHANNEL} small letters, digits and -, and at least one letter"
_CHANNEL = re.compile(rf"(?=[0-9-]*[a-z])[a-z0-9][a-z0-9-]{{0,{LONGEST_CHANNEL - 1}}}")


@dataclass(frozen=True, slots=True)
class Standing:
    """How the versions of one model stand, as far as somebody has said it."""

    channels: Mapping[str, str] = field(default_factory=dict)
    """The version that each channel names, `stable` first."""
    retired: frozenset[str] = frozenset()
    """Those that take no new work."""
    coming: frozenset[str] = frozenset()
    """Those that a channel is to name as soon as every worker has loaded them."""
    loaded: frozenset[str] = frozenset()
    """Those that every worker that lives has loaded."""
    canary_percent: float = 0.0
    """What of the work that asks for no version the canary gets."""
    canary_since: float = 0.0
    """When it got that: seconds since the Unix epoch, UTC."""

    def named(self, channel: str, numbers: Reversible[str]) -> str | None:
        """The version that a channel names, of a model that has these versions, oldest first; None: it names none.

        While nobody has said which one is stable, it is the newest that is not retired and that every worker has
        loaded; where they have loaded none, the newest.
        """
        number = self.channels.get(channel)
        if number is not None or channel != STABLE:
            return number
        newest = None
        for number in reversed(numbers):
            if number in self.loaded and number not in self.retired:
                return number
            if newest is None and number not in self.retired:
                newest = number
                if not self.loaded:
                    break
        return newest

    def next_stable(self, numbers: Reversible[str]) -> str | None:
        """What `stable` names as soon as workers have loaded it: what somebody has set, or the newest not retired."""
        newest = next((number for number in reversed(numbers) if number not in self.retired), None)
        return self.channels.get(STABLE, newest)

    def to_load(self, numbers: Reversible[str]) -> set[str]:
        """What workers are to have loaded, of a model that has these versions, oldest first.

        That is what channels name, what they are about to, and the newest where it becomes stable by being loaded.
        """
        wanted = {*self.channels_among(numbers).values(), *self.coming}
        stable = self.next_stable(numbers)
        return wanted if stable is None else {*wanted, stable}

    def channels_among(self, numbers: Reversible[str]) -> dict[str, str]:
        """What all channels name, `stable` first, as `named` says it."""
        stable = self.named(STABLE, numbers)
        return {**({STABLE: stable} if stable else {}), **self.channels}


UNTOUCHED = Standing()
"""Of a model about which nobody has said anything."""
Standings = Mapping[str, Standing]
"""By the names of the models; those that are not in it are `UNTOUCHED`."""
Known = Callable[[], Standings]
"""What is known now. Never blocks. Raises Unavailable where nothing is known yet."""


def is_channel_name(text: str) -> bool:
    """Whether a channel may be called so: `CHANNEL_RULE`."""
    return _CHANNEL.fullmatch(text) is not None
