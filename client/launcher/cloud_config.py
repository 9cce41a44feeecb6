"""Renders the cloud-config (user-data) of an instance from the templates in cloud-init/. It knows no cloud."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CloudConfig:
    """What an instance's first boot needs to know. None of it is secret: any process of the instance can read it.

    `repository` is where the code comes from at `commit` (40 hexadecimal digits); None: it is pushed over SSH, and
    first boot waits for it. `workers` is the number of worker processes, None: one for each core. `is_baked`: the image
    was made from a ready instance and has the packages already.
    """

    commit: str
    repository: str | None
    workers: int | None = None
    is_baked: bool = False


def render(config: CloudConfig) -> str:
    """The user-data, as text that begins with #cloud-config."""
    raise NotImplementedError


def faults_of(user_data: str) -> list[str]:
    """What keeps a cloud-config from working: not YAML, a key that cloud-init does not know, too large."""
    raise NotImplementedError
