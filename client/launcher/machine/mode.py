"""The ways in which the service runs on an instance, and what each needs of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Mode(enum.StrEnum):
    """As units of systemd, with the distribution's packages; or in containers, under Compose."""

    SYSTEMD = "systemd"
    DOCKER = "docker"


@dataclass(frozen=True)
class Needs:
    """The smallest flavor."""

    memory_mb: int
    disk_gb: int


NEEDS = {
    # RabbitMQ, a web process and one worker at rest take about half of the memory; two workers under load fit in.
    # On the disk: the system, packages, two releases with their environments, and room for jobs.
    Mode.SYSTEMD: Needs(memory_mb=1000, disk_gb=6),
    # The engine and PostgreSQL come on top; and the images, of two releases.
    Mode.DOCKER: Needs(memory_mb=2000, disk_gb=10),
}
