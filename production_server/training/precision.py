"""Chooses the arithmetic of a training: bfloat16 where the processor has it, float32 elsewhere."""

from __future__ import annotations

from pathlib import Path

_FLAGS = {"avx512_bf16", "amx_bf16", "avx_ne_convert"}
_CPUINFO = Path("/proc/cpuinfo")


def dtype_policy(precision: str, *, cpuinfo: Path = _CPUINFO) -> str:
    """The Keras dtype policy for `precision`; "auto" asks the processor (emulated bfloat16 is many times slower)."""
    if precision == "auto":
        precision = "bfloat16" if _has_bfloat16(cpuinfo) else "float32"
    return "mixed_bfloat16" if precision == "bfloat16" else "float32"


def _has_bfloat16(cpuinfo: Path) -> bool:
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return bool(_FLAGS & set(flags.split()))
