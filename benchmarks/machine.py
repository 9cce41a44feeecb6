"""Where it is measured."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.processor import busy_cores


def machine() -> dict[str, Any]:
    """The processor, Python and the day; how many cores others used just before."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    today = datetime.now(UTC).date().isoformat()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "date": today,
        "busy_cores": round(busy_cores(1), 2),
    }
