"""How many files and connections this process may have open, and what is kept for its own.

The kernel gives the lowest number that is free: whoever gets a high one learns that few are left.
"""

from __future__ import annotations

import errno
import os
import resource

KEPT = 128
"""Connections to database and broker, model files, uploads: clients' connections must leave so many. Of a low limit, a
quarter."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT})
"""What an OSError tells of a machine, or a process, that has no more to give."""


def is_kept(descriptor: int) -> bool:
    """Whether so few were left when this one was given that it must not be a client's."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit != resource.RLIM_INFINITY and descriptor >= limit - min(KEPT, limit // 4)


def are_short() -> bool:
    """Whether clients get no connection any more."""
    try:
        descriptor = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return True
    os.close(descriptor)
    return is_kept(descriptor)
