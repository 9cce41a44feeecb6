"""What a newcomer has: a clone, Python with the pip that it brings, no uv. What is not committed is not in it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from benchmarks.fresh_clone import LIMIT_S, ROW, Clone, fresh_clone

pytestmark = pytest.mark.timeout(2 * LIMIT_S)
PATIENT = [str(value) for value in ROW["inputs"][0]]


@pytest.fixture(scope="module")
def clone() -> Iterator[Clone]:
    with fresh_clone(INSTALLER="pip") as running:
        yield running


def test_make_run_sets_up_with_plain_pip_and_answers(clone: Clone) -> None:
    assert "uv" not in (clone.folder / ".venv-serving" / "pyvenv.cfg").read_text()


def test_the_first_set_up_says_what_it_does_and_that_it_goes_on(clone: Clone) -> None:
    said = clone.log.splitlines()

    began = next(n for n, line in enumerate(said) if line.startswith("Setting up .venv-serving"))
    assert any(line.startswith("  40 of at most ") for line in said[began:])
    assert any(line.startswith("  Unpacking ") for line in said[began:])
    assert any(line.startswith("Set up .venv-serving in ") for line in said[began:])


def test_make_client_sets_up_with_plain_pip_and_predicts(clone: Clone) -> None:
    for command in (
        ["make", "client", "INSTALLER=pip"],
        [
            ".venv-client/bin/python",
            "-m",
            "client",
            "predict",
            "--url",
            clone.url,
            "--model",
            "diabetes",
            *PATIENT,
        ],
    ):
        done = subprocess.run(command, cwd=clone.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    assert "diabetes" in done.stdout
