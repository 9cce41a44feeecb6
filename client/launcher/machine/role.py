"""What a machine is for: it serves, or models are trained on it; and what the latter needs."""

from __future__ import annotations

import enum

from client.launcher.machine.mode import Needs


class Role(enum.StrEnum):
    """Production answers predictions. Development trains models, and pushes them to production."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"


# A training of clothes takes 1.5 GB, the gate's processes come on top. On the disk: the system, TensorFlow and what it
# brings (2 GB, and half a gigabyte more while it is unpacked), the code, and room for data.
DEVELOPMENT_NEEDS = Needs(memory_mb=3000, disk_gb=10)


def development_name(production: str) -> str:
    """What the development machine of an instance is called, where both are launched by one command."""
    return f"{production}-{Role.DEVELOPMENT}"
