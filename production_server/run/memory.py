"""Has a process give back the memory that large images and bodies took."""

from __future__ import annotations

import contextlib
import ctypes

_M_MMAP_THRESHOLD = -3
"""As malloc.h of glibc has it."""
LARGE_BYTES = 4 * 2**20


def give_large_memory_back() -> None:
    """Have blocks of `LARGE_BYTES` and more go back to the system when they are freed.

    Else glibc raises that bound with the first of them, and each thread keeps what its images took: hundreds of MB.
    Elsewhere than with glibc nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
