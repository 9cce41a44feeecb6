"""Fixtures of the tests of sources: requests recorded from real stores, which are not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded notifications; where it is missing the test is skipped, and on CI it fails."""
    data = Path(os.environ.get("MODEL_DATA_DIR") or REPOSITORY.parent / "shared" / "data")
    folder = data / "s3-events"
    if folder.is_dir():
        return folder
    reason = f"there are no recorded notifications in {folder}: MODEL_DATA_DIR says where they are"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
