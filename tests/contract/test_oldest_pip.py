"""A set that is locked once can be installed for ever, by the oldest pip too, whatever is published after it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import must_have
from tests.wheels import write_wheel

ROOT = Path(__file__).parents[2]
OLDEST_PIP = ROOT / ".venv-oldest-pip" / "bin" / "python"
SETS = sorted([ROOT / "requirements.txt", *(ROOT / "requirements").glob("**/*.txt")])


def pins(path: Path) -> dict[str, set[str]]:
    """The extras with which each package is pinned in a compiled set."""
    found: dict[str, set[str]] = {}
    for name, extras in re.findall(r"^([a-z0-9_.-]+)(?:\[(\S+)\])?==", path.read_text(), re.MULTILINE):
        found.setdefault(name, set()).update(extras.split(",") if extras else [])
    return found


def asked_of(name: str, extras: set[str]) -> list[Requirement]:
    """What an installed package asks for, with those extras of its own; nothing of one that is not installed."""
    try:
        lines = metadata.distribution(name).requires or []
    except metadata.PackageNotFoundError:
        return []
    asked = map(Requirement, lines)
    return [
        each
        for each in asked
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in {"", *extras})
    ]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_what_is_asked_for_with_extras_is_pinned_with_them(path: Path) -> None:
    pinned = pins(path)

    missing = [
        f"{name} asks for {wanted}"
        for name, extras in pinned.items()
        for wanted in asked_of(name, extras)
        if not wanted.extras <= pinned.get(normal(wanted.name), set())
    ]

    assert missing == []


def test_the_sets_have_pins_with_extras() -> None:
    # Else the test above would have nothing to judge.
    assert "toml" in pins(ROOT / "requirements" / "development.txt")["coverage"]
    assert any(wanted.extras for wanted in asked_of("pytest-cov", set()))


def lock_options() -> list[str]:
    """How `make lock` compiles, but for what it compiles."""
    plan = subprocess.run(
        ["make", "--dry-run", "lock", "ARGS="], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    line = next(line for line in plan.splitlines() if "uv pip compile" in line)
    return [word for word in line.partition("pip compile")[2].partition("pyproject.toml")[0].split() if word]


def test_the_oldest_pip_installs_a_set_after_something_newer_was_published(tmp_path: Path) -> None:
    python = must_have(OLDEST_PIP if OLDEST_PIP.exists() else None, "pip 23.0")
    index, lock = tmp_path / "index", tmp_path / "lock.txt"
    index.mkdir()
    write_wheel(index, "top", "1.0", "Requires-Dist: middle[extra]>=1")
    write_wheel(index, "middle", "1.0", "Provides-Extra: extra", 'Requires-Dist: low>=1; extra == "extra"')
    write_wheel(index, "low", "1.0")
    (tmp_path / "wanted.txt").write_text("top\n")
    offline = ["--no-index", "--find-links", str(index)]
    uv = [sys.executable, "-m", "uv", "pip", "compile", *lock_options()]
    subprocess.run([*uv, *offline, str(tmp_path / "wanted.txt"), "-o", str(lock)], check=True)
    for name in ("top", "low"):
        write_wheel(index, name, "2.0")
    write_wheel(index, "middle", "2.0", "Provides-Extra: extra")

    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *offline]
    target = ["--target", str(tmp_path / "installed")]
    done = subprocess.run(
        [*pip, "--require-hashes", "-r", str(lock), *target], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    installed = sorted(path.name for path in (tmp_path / "installed").glob("*.dist-info"))
    assert installed == ["low-1.0.dist-info", "middle-1.0.dist-info", "top-1.0.dist-info"]
