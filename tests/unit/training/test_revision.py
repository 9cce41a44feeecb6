from __future__ import annotations

import re
from pathlib import Path

import pytest

from production_server.training.revision import code_revision


def test_a_checkout_knows_the_commit_of_its_training_code() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", code_revision())


def test_without_git_the_revision_is_what_the_image_was_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CODE_REVISION", raising=False)

    alone = code_revision()
    monkeypatch.setenv("CODE_REVISION", "f" * 40)

    assert (alone, code_revision()) == ("unknown", "f" * 40)
