"""How many files and connections this process may have open, raised as far as it may, and what is kept for its own.

The kernel gives the lowest number that is free: whoever gets a high one learns that few are left.
"""

from __future__ import annotations

import errno
import os
import resource

KEPT = 128
"""Connections to database and broker, model files, uploads: clients' connections must leave so many. Of a low limit, a
quarter."""
OTHER_FILES = 512
"""What is open beside connections and bodies in files: databases, brokers, models, logs."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT})
"""What an OSError tells of a machine, or a process, that has no more to give."""


def room_for(connections: int) -> int:
    """How many connections there may be, of so many that are wanted: each may have a file for its body."""
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + OTHER_FILES
    if most != resource.RLIM_INFINITY and most < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most == resource.RLIM_INFINITY:
        return connections
    return max(1, min(connections, (most - OTHER_FILES) // 2))


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
