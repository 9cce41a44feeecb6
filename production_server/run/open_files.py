"""How many files and connections this process may have open, raised as far as it may raise that by itself."""

from __future__ import annotations

import resource

OTHER_FILES = 512
"""What is open beside connections and bodies in files: databases, brokers, models, logs."""


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
