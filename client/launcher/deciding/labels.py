"""What the launcher writes on servers and on baked images, beside a mark: what they run, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client.launcher.machine.mode import Mode
from client.launcher.machine.role import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

# Metadata of a server and properties of an image.
COMMIT, ORIGIN = "celeriac-commit", "celeriac-origin"
MODE, IMAGE_PREFIX = "celeriac-mode", "celeriac-image-prefix"
DOMAIN = "celeriac-domain"
TAKES_PUSHES = "celeriac-takes-pushes"
ROLE, PRODUCTION = "celeriac-role", "celeriac-production"


def mode_of(written: Mapping[str, str]) -> Mode | None:
    """The mode of a server or of a baked image; None if nothing was launched from it yet.

    Those of before there was a choice run in systemd.
    """
    if COMMIT not in written:
        return None
    is_docker = written.get(MODE) == Mode.DOCKER
    return Mode.DOCKER if is_docker else Mode.SYSTEMD


def role_of(written: Mapping[str, str]) -> Role:
    """The role of a server; those of before there was a choice serve."""
    return Role.DEVELOPMENT if written.get(ROLE) == Role.DEVELOPMENT else Role.PRODUCTION
