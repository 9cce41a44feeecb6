"""Nobody does anything: what the others see then is what all other rows are held against."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from testing.neighbours import Seen


def test_nobody(neighbours: Callable[[], AbstractContextManager[Seen]]) -> None:
    with neighbours():
        time.sleep(5)
