"""Takes the network from a process by a filter of its system calls, which needs no right and no namespace.

Containers, and units of systemd, are refused namespaces; a filter they may have.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import sys
from dataclasses import dataclass

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22
_SECCOMP_MODE_FILTER = 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES
_LOAD, _IS, _IS_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
"""BPF: load a word of the call, compare it with a constant, end with one."""
_NUMBER_AT, _ABI_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_AF_UNIX = 1
_IO_URING_SETUP = 425
"""Rings make sockets as well, past every filter."""


@dataclass(frozen=True, slots=True)
class _Abi:
    """How a kernel calls the architecture, and the number of `socket`."""

    audit: int
    socket: int
    others_from: int = 0xFFFFFFFF
    """From this number on calls are those of another ABI, such as x32, with numbers of its own."""


_ABIS = {
    "x86_64": _Abi(audit=0xC000003E, socket=41, others_from=0x40000000),
    "aarch64": _Abi(audit=0xC00000B7, socket=198),
}


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16), ("if_so", ctypes.c_uint8), ("if_not", ctypes.c_uint8),
        ("constant", ctypes.c_uint32),
    )  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction)))


def leave_network() -> bool:
    """Have this thread, and all that it will start, open no socket but local ones (AF_UNIX), for good.

    False: this kernel or this processor's ABI does not do that. What is open already stays open.
    """
    abi = _ABIS.get(platform.machine()) if sys.platform.startswith("linux") else None
    if abi is None or sys.maxsize < 2**32:
        return False
    written = _filter(abi)
    program = _Program(len(written), (_Instruction * len(written))(*written))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _filter(abi: _Abi) -> list[_Instruction]:
    """Jumps count instructions that are passed over."""
    return [
        _Instruction(_LOAD, 0, 0, _ABI_AT),
        _Instruction(_IS, 0, 7, abi.audit),
        _Instruction(_LOAD, 0, 0, _NUMBER_AT),
        _Instruction(_IS_AT_LEAST, 5, 0, abi.others_from),
        _Instruction(_IS, 4, 0, _IO_URING_SETUP),
        _Instruction(_IS, 0, 2, abi.socket),
        _Instruction(_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        _Instruction(_IS, 0, 1, _AF_UNIX),
        _Instruction(_RETURN, 0, 0, _ALLOW),
        _Instruction(_RETURN, 0, 0, _REFUSE),
    ]
