"""A launch in a cloud in memory."""

from __future__ import annotations

import pytest

from testing.fake_cloud import FakeCloud
from testing.launching import CONSOLE, FakeSurroundings, World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """An empty project. The repository that requests name has their commit: nothing here may ask the network."""
    monkeypatch.setattr("client.launcher.doing.launch.check_is_pushed", lambda _source: None)
    return World(FakeCloud(script=CONSOLE, ready_after=4), FakeSurroundings())
