"""How much has been used of one limit, minute by minute. Pure: knows neither clock nor database.

A minute that is over counts less and less, by what of it lies in the last 60 s, beside the one that goes on (a sliding
window): so nobody gets twice the limit where one minute ends and the next one begins.
"""

from __future__ import annotations

from collections.abc import Mapping

MINUTE_S = 60
MOST_MINUTES = 60
"""What is more than a minute's is booked on so many minutes at most: nobody waits much longer than an hour."""


Moment = tuple[int, float]
"""A time by the clock of all who share counts: the minute since the Unix epoch, and how much of the one before it
counts still, which is 1 when a minute begins and 0 when it ends."""
# No named tuple: that takes ten times as long to make, and each request asks what time it is.


class Meter:
    """What one client, or address, has used of one limit. Not safe to share: whoever uses it holds a lock."""

    __slots__ = ("_own", "_used", "kind", "most", "seen_left", "subject")

    def __init__(self, subject: str, kind: str, most: int) -> None:
        """`most` may be used in a minute; 0: anything."""
        self.subject = subject
        self.kind = kind
        self.most = most
        self.seen_left: float = most
        """How much was left when somebody looked last, less what was added since."""
        self._used: dict[int, int] = {}
        """By minute, as far as it is known, with what is in `_own`."""
        self._own: dict[int, int] = {}
        """What others do not know yet."""

    def left(self, at: Moment) -> float:
        """How much may be used now; less than 1: nothing. What is used at once may be more than is left."""
        minute, fading = at
        used = self._used
        self.seen_left = left = self.most - used.get(minute, 0) - used.get(minute - 1, 0) * fading
        return left

    def is_full(self, at: Moment) -> bool:
        """Whether nothing may be used now."""
        return self.most > 0 and self.left(at) < 1

    def add(self, count: int, minute: int) -> None:
        """Count what is used in a minute. What is more than a minute's is booked on the minutes behind it, too."""
        self.seen_left -= count
        if count > self.most:
            self._book(count, minute, sign=1)
        else:
            used, own = self._used, self._own
            used[minute] = used.get(minute, 0) + count
            own[minute] = own.get(minute, 0) + count

    def take_back(self, count: int, minute: int) -> None:
        """Count as not used what was added in that minute."""
        self._book(count, minute, sign=-1)

    def wait_s(self, at: Moment) -> float:
        """After how many seconds there is room, unless more is used until then."""
        minute, fading = at
        begins_s, now_s = 0.0, MINUTE_S * (1 - fading)
        while True:
            room = self.most - 1 - self._used.get(minute, 0)
            before = self._used.get(minute - 1, 0)
            if room >= 0:
                fades_s = MINUTE_S * (1 - room / before) if before > room else 0.0
                if fades_s < MINUTE_S:
                    return max(0.0, begins_s + fades_s - now_s)
            minute += 1
            begins_s += MINUTE_S

    def take_own(self) -> dict[int, int]:
        """What others do not know yet, by minute; it counts as told from now on."""
        own, self._own = self._own, {}
        return own

    def put_back(self, own: Mapping[int, int]) -> None:
        """Nobody was told of this after all; what is forgotten meanwhile stays so."""
        for minute in own.keys() & self._used.keys():
            self._own[minute] = self._own.get(minute, 0) + own[minute]

    def learn(self, told: Mapping[int, int]) -> None:
        """Take over what all have used, by minute: what this one has used since it told of it comes on top."""
        self._used = {
            minute: told.get(minute, 0) + self._own.get(minute, 0)
            for minute in told.keys() | self._own.keys()
        }

    def forget(self, before: int) -> bool:
        """Forget minutes that do not count any more; whether it knows of none."""
        for minute in [minute for minute in self._used if minute < before]:
            del self._used[minute]
        return not self._used

    def _book(self, count: int, minute: int, *, sign: int) -> None:
        minutes = min(-(-count // self.most), MOST_MINUTES)
        booked = dict.fromkeys(range(minute, minute + minutes - 1), self.most)
        booked[minute + minutes - 1] = count - self.most * (minutes - 1)
        for known in (self._used, self._own):
            for each, some in booked.items():
                known[each] = known.get(each, 0) + sign * some
