"""Runs the operator's own training: nicer, within limits, and never longer than whoever has asked for it lives.

`python child.py NICENESS MEMORY_BYTES PROGRAM [ARGUMENT …]`, of the standard library alone, as the leader of a session,
with a pipe as standard input whose other end the one who asks holds. Its exit code is that of the program, or 128 and
the signal that has ended it.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading

_CANNOT_START = 127


def main(niceness: int, memory_bytes: int, command: list[str]) -> int:
    """Run the command to its end; returns the exit code."""
    os.nice(niceness)
    for kind, most in ((resource.RLIMIT_DATA, memory_bytes), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    except OSError as exc:
        sys.stderr.write(f"{command[0]} cannot be started: {exc.strerror or exc}\n")
        return _CANNOT_START
    return code if code >= 0 else 128 - code


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    # This process, the program, and what it has started in this group.
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
